{{- /* Names and labels. `crofai.labels` and `crofai.selector` take a dict: root, component, and a worker's model. Templates
       of pods have the selector's alone: with the chart's version, each new one would start all pods anew. */ -}}

{{- define "crofai.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 30 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- $full | trunc 30 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "crofai.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- with .model }}
crofai-model: {{ include "crofai.slug" . }}
{{- end }}
{{- end -}}

{{- define "crofai.labels" -}}
{{ include "crofai.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* A model's id as a part of a name: ids may have dots, underscores, capitals, and 64 characters. */ -}}
{{- define "crofai.slug" -}}
{{- $slug := regexReplaceAll "[^a-z0-9-]+" (lower .) "-" | trunc 24 | trimSuffix "-" -}}
{{- if eq $slug . }}{{ $slug }}{{ else }}{{ printf "%s-%s" $slug (sha256sum . | trunc 5) }}{{ end -}}
{{- end -}}

{{- /* A dict of root and model. */ -}}
{{- define "crofai.worker" -}}
{{ printf "%s-%s" (include "crofai.fullname" .root) (include "crofai.slug" .model) }}
{{- end -}}

{{- define "crofai.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "crofai.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- /* A dict of root and name, or a whole image of one's own. */ -}}
{{- define "crofai.image" -}}
{{- $image := .root.Values.image -}}
{{- $name := .name -}}
{{- with $image.registry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end -}}
{{ printf "%s:%s" $name (default .root.Chart.AppVersion $image.tag) }}
{{- end -}}

{{- /* Whole numbers stay whole: Go writes 1000000 as 1e+06. */ -}}
{{- define "crofai.number" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}
