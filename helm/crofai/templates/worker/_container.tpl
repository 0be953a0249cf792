{{- /* A worker's container and its volume. Takes a dict of root and m, the model. */ -}}

{{- define "crofai.workerContainer" -}}
{{- $m := .m -}}
{{- $files := dict "root" .root "files" (list "catalogue") -}}
name: worker
image: {{ $m.image }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- if eq $m.engine "simulated" }}
command: [python, -m, workers]
args: [--model, {{ $m.id | quote }}, --engine, simulated]
{{- else }}
args: [--model, {{ $m.id | quote }}]
{{- end }}
ports:
  - {name: metrics, containerPort: 9090}
envFrom:
  - configMapRef: {name: {{ include "crofai.fullname" .root }}-settings}
env:
  {{- include "crofai.env" $files | nindent 2 }}
  - {name: CROFAI_LOAD_TIMEOUT, value: {{ int $m.loadTimeout | quote }}}
  {{- if ne $m.engine "simulated" }}
  - {name: HF_HOME, value: /var/lib/crofai/huggingface}
  - {name: HF_HUB_DISABLE_TELEMETRY, value: "1"}
  - {name: VLLM_NO_USAGE_STATS, value: "1"}
  {{- if .root.Values.huggingFace.offline }}
  - {name: HF_HUB_OFFLINE, value: "1"}
  {{- end }}
  {{- with .root.Values.huggingFace.existingSecret }}
  - name: HF_TOKEN
    valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $.root.Values.huggingFace.key }}}}
  {{- end }}
  {{- end }}
  {{- with $m.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
# Until the model is loaded. The worker gives up by itself at the same time.
startupProbe:
  httpGet: {path: /ready, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: {{ div (add (int $m.loadTimeout) 69) 10 }}
# Whether the engine makes progress. One that hangs has nothing to finish: it is not given the time to.
livenessProbe:
  httpGet: {path: /live, port: metrics}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 3
  terminationGracePeriodSeconds: 20
readinessProbe:
  httpGet: {path: /ready, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
resources:
  {{- include "crofai.workerResources" $m | nindent 2 }}
securityContext:
  {{- include "crofai.containerSecurity" . | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: shm, mountPath: /dev/shm}
  - {name: data, mountPath: /var/lib/crofai}
  {{- include "crofai.fileMounts" $files | nindent 2 }}
  {{- with $m.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "crofai.workerResources" -}}
{{- $resources := deepCopy .resources -}}
{{- if gt (int .gpus) 0 -}}
{{- $limits := default dict $resources.limits -}}
{{- $_ := set $limits .gpuResource (int .gpus) -}}
{{- $_ := set $resources "limits" $limits -}}
{{- end -}}
{{ toYaml $resources }}
{{- end -}}

{{- define "crofai.workerCache" -}}
{{- if .cache.hostPath -}}
hostPath: {path: {{ .cache.hostPath.path }}, type: Directory}
{{- else if .cache.persistentVolumeClaim -}}
persistentVolumeClaim: {claimName: {{ default (printf "%s-cache" .name) .cache.persistentVolumeClaim.claimName }}}
{{- else -}}
emptyDir:
  {{- toYaml (default dict .cache.emptyDir) | nindent 2 }}
{{- end -}}
{{- end -}}
