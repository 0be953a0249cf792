{{- /* What the catalogue says of a model: ours, with the operator's file over it, as far as the chart reads them. */ -}}

{{- define "crofai.catalogue" -}}
{{- $all := (.Files.Get "files/models.yaml" | fromYaml).models -}}
{{- $own := include "crofai.entries" (dict "at" "catalogue.file" "text" .Values.catalogue.file "root" "models") | fromYaml -}}
{{- range $id, $entry := $own -}}
{{- $engine := get (default dict (get $all $id)) "engine" -}}
{{- if and $engine $entry (ne $engine (default $engine $entry.engine)) }}{{ $_ := unset (get $all $id) "engine_args" }}{{ end -}}
{{- end -}}
{{- include "crofai.merge" (dict "base" $all "changes" $own) -}}
{{ toYaml $all }}
{{- end -}}

{{- /* Of an operator's file, as shared/overlay.py reads it: nothing but comments changes nothing. Takes a dict: at (its
       path in the values), text, and root, the file's one key. */ -}}
{{- define "crofai.entries" -}}
{{- $at := .at -}}
{{- $parsed := fromYaml (default "" .text) -}}
{{- if hasKey $parsed "Error" }}{{ fail (printf "%s: is no YAML, or no map: %s" $at $parsed.Error) }}{{ end -}}
{{- $entries := default dict (get $parsed .root) -}}
{{- if or (and $parsed (ne (keys $parsed | sortAlpha | join ", ") .root)) (not (kindIs "map" $entries)) }}
{{- fail (printf "%s: should be a map with the one key '%s', and under it a map of ids to entries" $at .root) }}{{ end -}}
{{- range $id, $entry := $entries -}}
{{- if not (or (kindIs "map" $entry) (kindIs "invalid" $entry)) }}
{{- fail (printf "%s: %s: should be a map of fields, or null" $at $id) }}{{ end -}}
{{- end -}}
{{ toYaml $entries }}
{{- end -}}

{{- /* As shared/overlay.py merges, at every depth: a map key by key, null removes, anything else replaces. Changes `base`;
       takes a dict: base, changes. */ -}}
{{- define "crofai.merge" -}}
{{- range $key, $value := .changes -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $.base $key -}}
{{- else if kindIs "map" $value -}}
{{- $deeper := ternary (get $.base $key) dict (kindIs "map" (get $.base $key)) -}}
{{- $_ := set $.base $key $deeper -}}
{{- include "crofai.merge" (dict "base" $deeper "changes" $value) -}}
{{- else -}}
{{- $_ := set $.base $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* A model with everything that its pods need. Takes a dict: root, model (its id), catalogue. */ -}}
{{- define "crofai.model" -}}
{{- $values := .root.Values -}}
{{- /* Null is what a later file of values says to take away what an earlier one had. */ -}}
{{- $given := dict -}}
{{- include "crofai.merge" (dict "base" $given "changes" (default dict (get $values.models .model))) -}}
{{- $entry := default dict (get .catalogue .model) -}}
{{- $args := default dict $entry.engine_args -}}
{{- $engine := default (default "" $entry.engine) $given.engine -}}
{{- $all := mergeOverwrite (deepCopy $values.workers) (deepCopy $given) -}}
{{- /* Of these, a model's own replaces the default as a whole: two kinds of volume would be none. */ -}}
{{- range list "cache" "affinity" }}{{ if hasKey $given . }}{{ $_ := set $all . (get $given .) }}{{ end }}{{ end -}}
{{- $gpus := mul (int (default 1 $entry.tensor_parallel)) (int (default 1 $args.pipeline_parallel_size)) (int (default 1 $args.data_parallel_size)) -}}
{{- if or (eq $engine "simulated") (hasPrefix "none" (default "" $entry.gpus)) }}{{ $gpus = 0 }}{{ end -}}
{{- $_ := set $all "catalogueGpus" $gpus -}}
{{- if not (hasKey $given "gpus") }}{{ $_ := set $all "gpus" $gpus }}{{ end -}}
{{- $jobs := int (default 256 $args.max_num_seqs) -}}
{{- if eq $engine "diffusers" }}{{ $jobs = mul 2 (int (default 1 $args.batch)) }}{{ end -}}
{{- if eq $engine "simulated" }}{{ $jobs = int (default 64 $args.capacity) }}{{ end -}}
{{- if not (hasKey $given "jobs") }}{{ $_ := set $all "jobs" $jobs }}{{ end -}}
{{- $_ := set $all "id" .model -}}
{{- $_ := set $all "engine" $engine -}}
{{- $name := get $values.image (ternary "cpu" $engine (eq (int $all.gpus) 0)) -}}
{{- if eq $engine "simulated" }}{{ $name = $values.image.gateway }}{{ end -}}
{{- $_ := set $all "image" (default (include "crofai.image" (dict "root" .root "name" $name)) $given.image) -}}
{{- $_ := set $all "name" (include "crofai.worker" .) -}}
{{ toYaml $all }}
{{- end -}}

{{- /* Jobs per worker at which one more is started. Takes a model. */ -}}
{{- define "crofai.jobsPerWorker" -}}
{{ max 1 (int (floor (mulf (float64 (int .jobs)) (float64 (default 1.0 .autoscaling.factor))))) }}
{{- end -}}
