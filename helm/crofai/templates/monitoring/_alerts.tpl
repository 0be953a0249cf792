{{- /*
What is worth waking somebody for, as a list: alert, expr, for, severity, summary. Of what every gateway tells alike,
such as the number of open jobs, the largest is taken. docs/alerts.md says what to do about each.
*/ -}}
{{- define "crofai.alerts" -}}
{{- $r := .Values.metrics.rules -}}
{{- $own := printf "release=%q,namespace=%q" .Release.Name .Release.Namespace -}}
{{- $all := printf "{%s}" $own -}}
{{- $model := "{{ $labels.model }}" -}}
{{- /* What the operator can do something about; anybody may send wrong keys, and ask for what there is not. */ -}}
{{- $reasons := "queue_full|model_unavailable|too_many_clients|queue_unreachable|accounts_unreachable|internal_error" -}}
{{- $refused := printf "sum(rate(crofai_refusals_total{reason=~%q,%s}[10m]))" $reasons $own -}}
{{- /* By workers' own count: jobs that have ended are counted once they are in the database. */ -}}
{{- $begun := printf "(sum(rate(crofai_job_attempts_total%s[10m])) or vector(0))" $all -}}
{{- $ended := printf "sum(rate(gen_ai_server_request_duration_seconds_count%s[10m]))" $all -}}
- alert: CrofaiGatewayDown
  expr: sum(up{component="gateway",{{ $own }}}) < 1 or absent(up{component="gateway",{{ $own }}})
  for: 2m
  severity: critical
  summary: No gateway answers.
- alert: CrofaiWorkerUnreachable
  expr: up{component="worker",{{ $own }}} == 0
  for: 10m
  severity: warning
  summary: "Worker {{ "{{ $labels.pod }}" }} of {{ $model }} tells no metrics."
- alert: CrofaiRedisDown
  expr: min(crofai_redis_up{{ $all }}) < 1
  for: 1m
  severity: critical
  summary: A gateway does not reach Redis.
- alert: CrofaiUsageUnwritten
  expr: max(crofai_unwritten_usage{{ $all }}) > {{ $r.unwritten }}
  for: 5m
  severity: critical
  summary: Usage waits for the database, which is away or slow.
{{- /* A pod that crashes while it loads says that it loads each time it starts: waits between are up to 5 minutes. Jobs
       that are refused after CROFAI_HOLD leave gaps, too. Anybody may ask for a model that is not served here. */}}
- alert: CrofaiModelWithoutWorker
  expr: |-
    max by (model) (max_over_time(crofai_open_jobs{model=~{{ keys .Values.models | sortAlpha | join "|" | quote }},{{ $own }}}[5m])) > 0
    unless on (model) max by (model) (crofai_workers{state="ready",{{ $own }}}) > 0
    unless on (model) min by (model) (min_over_time(crofai_workers{state="loading",{{ $own }}}[5m])) > 0
  for: 10m
  severity: critical
  summary: "Jobs wait for {{ $model }}, and no worker of it is ready, or loads without a break."
- alert: CrofaiCanaryFails
  expr: max by (model) (crofai_canary_success{{ $all }}) < 1
  for: 5m
  severity: critical
  summary: "{{ $model }} does not answer a small request from inside."
- alert: CrofaiQueueWaitHigh
  expr: histogram_quantile(0.95, sum by (model, le) (rate(crofai_queue_wait_seconds_bucket{{ $all }}[5m]))) > {{ $r.queueWait }}
  for: 10m
  severity: warning
  summary: "Of {{ $model }}'s jobs, one in twenty waits for more than {{ $r.queueWait }} s."
- alert: CrofaiQueueGrows
  expr: |-
    max by (model) (crofai_waiting_jobs{{ $all }}) > 10
    and max by (model) (deriv(crofai_waiting_jobs{{ $all }}[15m])) > 0
  for: 15m
  severity: warning
  summary: "More jobs wait for {{ $model }} than its workers end."
- alert: CrofaiFirstTokenSlow
  expr: histogram_quantile(0.95, sum by (gen_ai_request_model, le) (rate(gen_ai_server_time_to_first_token_seconds_bucket{{ $all }}[5m]))) > {{ $r.firstToken }}
  for: 10m
  severity: warning
  summary: "The first token of {{ "{{ $labels.gen_ai_request_model }}" }} takes more than {{ $r.firstToken }} s for one in twenty."
- alert: CrofaiRequestsSlow
  expr: histogram_quantile(0.95, sum by (gen_ai_request_model, le) (rate(gen_ai_server_request_duration_seconds_bucket{{ $all }}[10m]))) > {{ $r.duration }}
  for: 15m
  severity: warning
  summary: "Answers of {{ "{{ $labels.gen_ai_request_model }}" }} take more than {{ $r.duration }} s for one in twenty."
- alert: CrofaiRefusalsHigh
  expr: |-
    {{ $refused }} / ({{ $refused }} + {{ $begun }}) > {{ $r.refused }}
    and {{ $refused }} + {{ $begun }} > {{ $r.traffic }}
  for: 10m
  severity: warning
  summary: More requests than usual are refused for want of workers, of room, or of a server.
{{- /* While the database is away no job is counted as ended: the window is shorter than what the alert waits for. */}}
- alert: CrofaiJobsStartedAgain
  expr: |-
    sum(rate(crofai_job_attempts_total{{ $all }}[10m])) / {{ $ended }} > {{ addf 1 $r.again }}
    and {{ $ended }} > {{ $r.traffic }}
  for: 15m
  severity: warning
  summary: Workers die or hang, and other workers go on with their jobs.
- alert: CrofaiDeadLetters
  expr: max(crofai_dead_letters{{ $all }}) > 0
  for: 1m
  severity: warning
  summary: Jobs were given up because they killed their workers.
- alert: CrofaiLogLags
  expr: max(crofai_log_lag_seconds{{ $all }}) > {{ $r.logLag }}
  for: 2m
  severity: critical
  summary: Chunks reach the job log late; Redis is slow, full or away.
{{- $catalogue := include "crofai.catalogue" . | fromYaml }}
{{- range $id, $_ := .Values.models }}
{{- $m := include "crofai.model" (dict "root" $ "model" $id "catalogue" $catalogue) | fromYaml }}
{{- include "crofai.poolAlerts" (dict "m" $m "own" (printf "model=%q,%s" $id $own)) }}
{{- end }}
{{- end -}}
