{{- /* What pods have in common. */ -}}

{{- define "crofai.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .uid }}
runAsGroup: {{ .gid }}
fsGroup: {{ .gid }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "crofai.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- /* The head of every pod's spec. Variables of services would look like misspelt settings. */ -}}
{{- define "crofai.pod" -}}
serviceAccountName: {{ include "crofai.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "crofai.podSecurity" (dict "uid" 10001 "gid" 10001) | nindent 2 }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Where a pod may run. Takes the values that have it. */ -}}
{{- define "crofai.placement" -}}
{{- range $field := list "nodeSelector" "tolerations" "affinity" }}
{{- with get $ $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* The replicas of what an autoscaler scales: as many as there are, or the least. Left out, Helm would take the number
       of a Deployment that had one, and Kubernetes make it 1. Without a cluster to look at none is said: whoever
       renders so, such as Argo CD, would set each pool back to it. Takes a dict: root, name, least. */ -}}
{{- define "crofai.scaledReplicas" -}}
{{- with lookup "apps/v1" "Deployment" .root.Release.Namespace "" -}}
{{- $replicas := $.least -}}
{{- range .items }}{{ if eq .metadata.name $.name }}{{ $replicas = max $.least .spec.replicas }}{{ end }}{{ end -}}
replicas: {{ int $replicas }}
{{- end -}}
{{- end -}}

{{- /* As JSON. A key without anything under it takes Helm's defaults away, and is to mean none of one's own: values.yaml
       has these. */ -}}
{{- define "crofai.settings" -}}
{{- $given := .Values.settings -}}
{{- if kindIs "invalid" $given }}{{ $given = dict "drain_timeout" 120 "gateway_drain_timeout" 600 }}{{ end -}}
{{- toJson $given -}}
{{- end -}}

{{- define "crofai.redisSecret" -}}
{{- if not .Values.valkey.enabled }}{{ .Values.redis.existingSecret }}
{{- else }}{{ default (printf "%s-valkey" (include "crofai.fullname" .)) .Values.valkey.password.existingSecret }}
{{- end -}}
{{- end -}}

{{- define "crofai.adminSecret" -}}
{{ default (printf "%s-admin" (include "crofai.fullname" .)) .Values.adminKey.existingSecret }}
{{- end -}}

{{- define "crofai.redisEnv" -}}
{{- if .Values.valkey.enabled }}
- name: VALKEY_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "crofai.redisSecret" . }}, key: {{ .Values.valkey.password.key }}}}
- name: CROFAI_REDIS_URL
  value: redis://:$(VALKEY_PASSWORD)@{{ include "crofai.fullname" . }}-valkey:6379/0
{{- else }}
- name: CROFAI_REDIS_URL
  valueFrom: {secretKeyRef: {name: {{ include "crofai.redisSecret" . }}, key: {{ .Values.redis.urlKey }}}}
{{- end }}
{{- end -}}

{{- define "crofai.databaseEnv" -}}
{{- with .Values.database.existingSecret }}
- name: CROFAI_DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $.Values.database.key }}}}
{{- end }}
{{- end -}}

{{- define "crofai.adminEnv" -}}
- name: CROFAI_ADMIN_KEY
  valueFrom: {secretKeyRef: {name: {{ include "crofai.adminSecret" . }}, key: {{ .Values.adminKey.key }}}}
{{- end -}}

{{- /* Of gateways and workers alike. HOME is for what libraries write there. Takes a dict: root, and the operator's
       files that there are for it. */ -}}
{{- define "crofai.env" -}}
- {name: HOME, value: /tmp}
- {name: CROFAI_DATA_DIR, value: /var/lib/crofai}
- {name: CROFAI_METRICS_HOST, value: 0.0.0.0}
- {name: CROFAI_METRICS_PORT, value: "9090"}
{{- range $file := .files }}
{{- $given := get $.root.Values $file }}
{{- if or $given.file $given.existingConfigMap }}
- {name: {{ ternary "CROFAI_MODELS_FILE" "CROFAI_TIERS_FILE" (eq $file "catalogue") }}, value: {{ printf "/etc/crofai/%s/%s" $file $given.key }}}
{{- end }}
{{- end }}
{{- include "crofai.redisEnv" .root }}
{{- end -}}

{{- /* These two take such a dict, too. */ -}}
{{- define "crofai.fileMounts" -}}
{{- range $file := .files }}
{{- $given := get $.root.Values $file }}
{{- if or $given.file $given.existingConfigMap }}
- {name: {{ $file }}, mountPath: {{ printf "/etc/crofai/%s" $file }}, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{- define "crofai.fileVolumes" -}}
{{- range $file := .files }}
{{- $given := get $.root.Values $file }}
{{- if or $given.file $given.existingConfigMap }}
- name: {{ $file }}
  configMap: {name: {{ default (printf "%s-%s" (include "crofai.fullname" $.root) $file) $given.existingConfigMap }}}
{{- end }}
{{- end }}
{{- end -}}

{{- /* A change of these starts new pods. Secrets and ConfigMaps of others do not: see "Rotate secrets". */ -}}
{{- define "crofai.gatewayChecksums" -}}
checksum/settings: {{ include "crofai.settings" . | sha256sum }}
{{- range $file := list "catalogue" "tiers" }}
{{- with get (get $.Values $file) "file" }}
checksum/{{ $file }}: {{ sha256sum . }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Loading takes minutes, so workers start anew only for what they read: of the settings these, and of the catalogue
       their own entry, less what only gateways and people look at. Takes a dict: root, m, catalogue. */ -}}
{{- define "crofai.workerChecksums" -}}
{{- $settings := pick (include "crofai.settings" .root | fromJson) "job_timeout" "lease" "max_attempts" "log_ttl" "drain_timeout" "stall_timeout"
  "report_interval" "otlp_endpoint" "log_level" "log_format" -}}
checksum/settings: {{ toJson $settings | sha256sum }}
{{- if .root.Values.catalogue.file }}
checksum/model: {{ omit (default dict (get .catalogue .m.id)) "description" "aliases" "gpus" "price" | toJson | sha256sum }}
{{- end }}
{{- end -}}
