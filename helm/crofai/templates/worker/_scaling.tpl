{{- /* Both autoscalers look at the same number: jobs of a model that have no end yet, waiting or in flight. */ -}}

{{- define "crofai.scaleBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
scaleDown:
  stabilizationWindowSeconds: {{ int .Values.scaleDown.stabilization }}
  policies: [{type: Pods, value: {{ int .Values.scaleDown.pods }}, periodSeconds: {{ int .Values.scaleDown.every }}}]
{{- end -}}

{{- define "crofai.scaledObject" }}
{{- $keda := .root.Values.keda }}
{{- $redis := .root.Values.redis }}
{{- $own := .root.Values.valkey.enabled }}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ .m.name }}
  labels:
    {{- include "crofai.labels" .me | nindent 4 }}
spec:
  scaleTargetRef: {name: {{ .m.name }}}
  minReplicaCount: {{ int .m.autoscaling.min }}
  maxReplicaCount: {{ int .m.autoscaling.max }}
  pollingInterval: {{ int $keda.pollingInterval }}
  # From one worker to none. There is no fallback: while Redis does not answer, the number of workers stays.
  cooldownPeriod: {{ int $keda.cooldownPeriod }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        {{- include "crofai.scaleBehavior" .root | nindent 8 }}
  triggers:
    - type: redis
      metricType: AverageValue
      metadata:
        address: {{ ternary (printf "%s-valkey.%s:6379" (include "crofai.fullname" .root) .root.Release.Namespace) $redis.address $own | quote }}
        # A sorted set: KEDA takes its ZCARD.
        listName: {{ printf "open:%s" .m.id | quote }}
        listLength: {{ include "crofai.jobsPerWorker" .m | quote }}
        activationListLength: "0"
        databaseIndex: "0"
        enableTLS: {{ ternary false $redis.tls $own | toString | quote }}
      {{- if or $own $redis.passwordKey $redis.caKey }}
      authenticationRef: {name: {{ include "crofai.fullname" .root }}-redis}
      {{- end }}
    {{- range .m.autoscaling.schedule }}
    - type: cron
      metricType: AverageValue
      metadata:
        {{- include "crofai.hours" . | nindent 8 }}
    {{- end }}
{{- end }}

{{- /* The hour 24 is the first of the days after. KEDA refuses a start that is written as its end is; every day's
       24 hours pass, as the days of their end are in another order. */ -}}
{{- define "crofai.hours" -}}
{{- $over := div (int .to) 24 -}}
{{- $starts := list -}}
{{- $ends := list -}}
{{- range .days }}{{ $starts = append $starts (int .) }}{{ $ends = append $ends (mod (add (int .) $over) 7) }}{{ end -}}
timezone: Etc/UTC
start: {{ printf "0 %d * * %s" (int .from) (join "," $starts) | quote }}
end: {{ printf "0 %d * * %s" (mod (int .to) 24) (join "," $ends) | quote }}
desiredReplicas: {{ int .min | quote }}
{{- end }}

{{- define "crofai.workerHpa" }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ .m.name }}
  labels:
    {{- include "crofai.labels" .me | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ .m.name }}}
  minReplicas: {{ int .m.autoscaling.min }}
  maxReplicas: {{ int .m.autoscaling.max }}
  metrics:
    - type: External
      external:
        metric:
          name: {{ .root.Values.hpa.metric }}
          selector: {matchLabels: {model: {{ .m.id | quote }}}}
        target: {type: AverageValue, averageValue: {{ include "crofai.jobsPerWorker" .m | quote }}}
  behavior:
    {{- include "crofai.scaleBehavior" .root | nindent 4 }}
{{- end }}
