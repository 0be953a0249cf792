{{- /* Alerts with bounds of one model's own. Takes a dict: m, the model, and own, what selects its metrics. */ -}}
{{- define "crofai.poolAlerts" }}
{{- $loading := div (mul 3 (int .m.loadTimeout)) 4 }}
- alert: CrofaiModelLoadsForLong
  expr: |-
    max by (model) (max_over_time(crofai_workers{state="loading",{{ .own }}}[10m])) > 0
    unless on (model) max by (model) (crofai_workers{state="ready",{{ .own }}}) > 0
  for: {{ $loading }}s
  severity: warning
  summary: "{{ .m.id }} has been loading for {{ $loading }} s, and has no worker that is ready."
{{- with .m.autoscaling }}
- alert: CrofaiPoolAtMaximum
  expr: max(crofai_open_jobs{{ "{" }}{{ $.own }}}) > {{ mul (int $.m.jobs) (int .max) }}
  for: 15m
  severity: warning
  summary: "{{ $.m.id }} has all the workers that it may have, and too few."
{{- end }}
{{- end -}}
