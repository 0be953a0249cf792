{{- /*
What is worth waking somebody for, as a list: alert, expr, for, severity, summary. Of what every gateway tells alike,
such as the number of open jobs, the largest is taken. docs/operations.md says what to do about each.
*/ -}}
{{- define "crofai.alerts" -}}
{{- $r := .Values.metrics.rules -}}
{{- $own := printf "release=%q,namespace=%q" .Release.Name .Release.Namespace -}}
{{- $model := "{{ $labels.model }}" -}}
- alert: CrofaiGatewayDown
  expr: sum(up{component="gateway",{{ $own }}}) < 1 or absent(up{component="gateway",{{ $own }}})
  for: 2m
  severity: critical
  summary: No gateway answers.
- alert: CrofaiWorkerUnreachable
  expr: up{component="worker",{{ $own }}} == 0
  for: 10m
  severity: warning
  summary: "Worker {{ "{{ $labels.pod }}" }} tells no metrics."
- alert: CrofaiModelWithoutWorker
  expr: |-
    max by (model) (crofai_open_jobs{{ "{" }}{{ $own }}}) > 0
    unless on (model) max by (model) (crofai_workers{state=~"ready|loading",{{ $own }}}) > 0
  for: 5m
  severity: critical
  summary: "Jobs wait for {{ $model }}, and no worker of it is ready or loading."
- alert: CrofaiModelLoadsForLong
  expr: |-
    max by (model) (crofai_workers{state="loading",{{ $own }}}) > 0
    unless on (model) max by (model) (crofai_workers{state="ready",{{ $own }}}) > 0
  for: 45m
  severity: warning
  summary: "{{ $model }} has been loading for 45 minutes."
- alert: CrofaiCanaryFails
  expr: max by (model) (crofai_canary_success{{ "{" }}{{ $own }}}) < 1
  for: 5m
  severity: critical
  summary: "{{ $model }} does not answer a small request from inside."
- alert: CrofaiQueueWaitHigh
  expr: histogram_quantile(0.95, sum by (model, le) (rate(crofai_queue_wait_seconds_bucket{{ "{" }}{{ $own }}}[5m]))) > {{ $r.queueWait }}
  for: 10m
  severity: warning
  summary: "Of {{ $model }}'s jobs, one in twenty waits for more than {{ $r.queueWait }} s."
- alert: CrofaiQueueGrows
  expr: |-
    max by (model) (crofai_waiting_jobs{{ "{" }}{{ $own }}}) > 10
    and max by (model) (deriv(crofai_waiting_jobs{{ "{" }}{{ $own }}}[15m])) > 0
  for: 15m
  severity: warning
  summary: "More jobs wait for {{ $model }} than its workers end."
- alert: CrofaiFirstTokenSlow
  expr: histogram_quantile(0.95, sum by (gen_ai_request_model, le) (rate(gen_ai_server_time_to_first_token_seconds_bucket{{ "{" }}{{ $own }}}[5m]))) > {{ $r.firstToken }}
  for: 10m
  severity: warning
  summary: "The first token of {{ "{{ $labels.gen_ai_request_model }}" }} takes more than {{ $r.firstToken }} s for one in twenty."
- alert: CrofaiRequestsSlow
  expr: histogram_quantile(0.95, sum by (gen_ai_request_model, le) (rate(gen_ai_server_request_duration_seconds_bucket{{ "{" }}{{ $own }}}[10m]))) > {{ $r.duration }}
  for: 15m
  severity: warning
  summary: "Answers of {{ "{{ $labels.gen_ai_request_model }}" }} take more than {{ $r.duration }} s for one in twenty."
- alert: CrofaiRefusalsHigh
  expr: |-
    sum(rate(crofai_refusals_total{{ "{" }}{{ $own }}}[10m]))
    / (sum(rate(crofai_refusals_total{{ "{" }}{{ $own }}}[10m])) + sum(rate(gen_ai_server_request_duration_seconds_count{{ "{" }}{{ $own }}}[10m])))
    > {{ $r.refused }}
  for: 10m
  severity: warning
  summary: More requests than usual are refused.
- alert: CrofaiJobsStartedAgain
  expr: |-
    sum(rate(crofai_job_attempts_total{{ "{" }}{{ $own }}}[15m]))
    / sum(rate(gen_ai_server_request_duration_seconds_count{{ "{" }}{{ $own }}}[15m]))
    > {{ addf 1 $r.again }}
  for: 15m
  severity: warning
  summary: Workers die or hang, and other workers go on with their jobs.
- alert: CrofaiDeadLetters
  expr: max(crofai_dead_letters{{ "{" }}{{ $own }}}) > 0
  for: 1m
  severity: warning
  summary: Jobs were given up because they killed their workers.
- alert: CrofaiLogLags
  expr: max(crofai_log_lag_seconds{{ "{" }}{{ $own }}}) > {{ $r.logLag }}
  for: 2m
  severity: critical
  summary: Chunks reach the job log late; Redis is slow, full or away.
{{- range $id, $m := .Values.models }}
{{- with $m.autoscaling }}
{{- $catalogue := include "crofai.catalogue" $ | fromYaml }}
{{- $jobs := include "crofai.jobsPerWorker" (include "crofai.model" (dict "root" $ "model" $id "catalogue" $catalogue) | fromYaml) }}
- alert: CrofaiPoolAtMaximum
  expr: max(crofai_open_jobs{model={{ $id | quote }},{{ $own }}}) > {{ mul (int $jobs) (int .max) }}
  for: 15m
  severity: warning
  summary: "{{ $id }} has all the workers that it may have, and too few."
{{- end }}
{{- end }}
{{- end -}}
