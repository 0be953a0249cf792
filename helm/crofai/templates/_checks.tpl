{{- /* What a schema cannot say. Each message names the values at fault. */ -}}

{{- define "crofai.checks" -}}
{{- $v := .Values -}}
{{- if and $v.valkey.enabled $v.redis.existingSecret }}
{{- fail "redis.existingSecret: another server needs valkey.enabled: false" }}{{ end -}}
{{- if not (or $v.valkey.enabled $v.redis.existingSecret) }}
{{- fail "redis.existingSecret: is missing: with valkey.enabled: false, name a Secret with the server's URL" }}{{ end -}}
{{- include "crofai.checkDatabase" . -}}
{{- range $file := list "catalogue" "tiers" }}{{ $given := get $v $file -}}
{{- if and $given.file $given.existingConfigMap }}
{{- fail (printf "%s.file, %s.existingConfigMap: give one of the two" $file $file) }}{{ end -}}
{{- end -}}
{{- $_ := include "crofai.entries" (dict "at" "tiers.file" "text" $v.tiers.file "root" "tiers") -}}
{{- include "crofai.checkNames" . -}}
{{- include "crofai.checkTimes" . -}}
{{- include "crofai.checkMemory" . -}}
{{- if and $v.ingress.enabled (not $v.ingress.host) }}{{ fail "ingress.host: is missing" }}{{ end -}}
{{- if and $v.test.model (not (hasKey $v.models $v.test.model)) }}
{{- fail (printf "test.model: should be one of models (%s), got %s" (keys $v.models | sortAlpha | join ", ") $v.test.model) }}{{ end -}}
{{- include "crofai.checkScalers" . -}}
{{- $catalogue := include "crofai.catalogue" . | fromYaml -}}
{{- range $id, $given := $v.models -}}
{{- include "crofai.checkModel" (dict "root" $ "model" $id "given" $given "catalogue" $catalogue) -}}
{{- end -}}
{{- end -}}

{{- define "crofai.checkNames" -}}
{{- $v := .Values -}}
{{- $label := "[a-z0-9]([a-z0-9-]*[a-z0-9])?" -}}
{{- range $each := list
  (list "nameOverride" $v.nameOverride $label "small letters, digits and -, with no - at either end")
  (list "fullnameOverride" $v.fullnameOverride "[a-z]([a-z0-9-]*[a-z0-9])?" "small letters, digits and -, a letter first and no - last")
  (list "ingress.host" $v.ingress.host (printf "([*][.])?%s([.]%s)*" $label $label) "a host's name alone, in small letters, such as api.example")
  (list "image.registry" $v.image.registry "[^/\\s]+(/[^/\\s]+)*/?" "what stands before an image's name, without https://, such as registry.example/team")
}}
{{- $text := default "" (index $each 1) -}}
{{- if and $text (not (regexMatch (printf "^%s$" (index $each 2)) $text)) }}
{{- fail (printf "%s: should be %s, got %s" (first $each) (last $each) $text) }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "crofai.checkTimes" -}}
{{- $settings := include "crofai.settings" . | fromJson -}}
{{- /* What they are where nothing is said: shared/settings.py. */ -}}
{{- $hold := float64 (ternary $settings.hold 60 (hasKey $settings "hold")) -}}
{{- $most := float64 (default 600 $settings.job_timeout) -}}
{{- if ge $hold $most }}
{{- fail (printf "settings.hold: should be less than settings.job_timeout, which is %s, got %s: raise that" (include "crofai.number" $most) (include "crofai.number" $hold)) }}{{ end -}}
{{- if ge (int .Values.migration.wait) (int .Values.migration.deadline) }}
{{- fail "migration.wait: should be less than deadline" }}{{ end -}}
{{- end -}}

{{- /* Valkey's maxmemory has units of its own: k is 1000, kb 1024. */ -}}
{{- define "crofai.checkMemory" -}}
{{- $valkey := .Values.valkey -}}
{{- $limit := toString (default "" (get (default dict (default dict $valkey.resources).limits) "memory")) -}}
{{- if and $valkey.enabled $limit (ge (float64 (include "crofai.bytes" $valkey.maxMemory)) (float64 (include "crofai.bytes" $limit))) }}
{{- fail (printf "valkey.maxMemory: should be less than valkey.resources.limits.memory, which is %s, got %s" $limit $valkey.maxMemory) }}{{ end -}}
{{- end -}}

{{- define "crofai.bytes" -}}
{{- $units := dict "" 1 "k" 1e3 "m" 1e6 "g" 1e9 "kb" 1024 "mb" 1048576 "gb" 1073741824
  "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18
  "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 -}}
{{ mulf (float64 (regexFind "^[0-9.]+" .)) (float64 (get $units (regexFind "[A-Za-z]*$" .))) }}
{{- end -}}

{{- define "crofai.checkDatabase" -}}
{{- $d := .Values.database -}}
{{- if and $d.existingSecret $d.sqlite.enabled }}
{{- fail "database.existingSecret, database.sqlite.enabled: give one of the two" }}{{ end -}}
{{- if not (or $d.existingSecret $d.sqlite.enabled) }}
{{- fail "database.existingSecret: is missing: name a Secret with PostgreSQL's URL, or try things out with database.sqlite.enabled" }}{{ end -}}
{{- if and $d.sqlite.enabled (or .Values.gateway.autoscaling.enabled (gt (int .Values.gateway.replicas) 1)) }}
{{- fail "database.sqlite.enabled: takes one gateway: set gateway.replicas: 1 and no gateway.autoscaling" }}{{ end -}}
{{- $a := .Values.gateway.autoscaling -}}
{{- if and $a.enabled (gt (int $a.min) (int $a.max)) }}{{ fail "gateway.autoscaling.min: should be at most max" }}{{ end -}}
{{- end -}}

{{- define "crofai.checkScalers" -}}
{{- $v := .Values -}}
{{- if and $v.keda.enabled $v.hpa.enabled }}
{{- fail "keda.enabled, hpa.enabled: two autoscalers would fight over the same workers: enable one" }}{{ end -}}
{{- if and $v.keda.enabled (not $v.valkey.enabled) (not $v.redis.address) }}
{{- fail "redis.address: is missing: KEDA reads no URL; give host:port, and passwordKey if there is a password" }}{{ end -}}
{{- $scaled := list -}}
{{- range $id, $given := $v.models }}{{ if $given.autoscaling }}{{ $scaled = append $scaled $id }}{{ end }}{{ end -}}
{{- if and (or $v.keda.enabled $v.hpa.enabled) (not $scaled) }}
{{- fail (printf "%s.enabled: no model has autoscaling: give one models.ID.autoscaling" (ternary "keda" "hpa" $v.keda.enabled)) }}{{ end -}}
{{- if and $scaled (not (or $v.keda.enabled $v.hpa.enabled)) }}
{{- fail (printf "models.%s.autoscaling: needs keda.enabled or hpa.enabled" (first $scaled)) }}{{ end -}}
{{- end -}}

{{- define "crofai.checkModel" -}}
{{- $at := printf "models.%s" .model -}}
{{- if not (or (hasKey .catalogue .model) .root.Values.catalogue.existingConfigMap) }}
{{- fail (printf "%s: is no id of the catalogue; add it to catalogue.file" $at) }}{{ end -}}
{{- $model := include "crofai.model" . | fromYaml -}}
{{- if not $model.engine }}{{ fail (printf "%s.engine: is missing: the chart cannot read it in catalogue.existingConfigMap" $at) }}{{ end -}}
{{- if and (hasKey .catalogue .model) (gt (int $model.gpus) 0) (gt (int $model.catalogueGpus) 0) (ne (int $model.gpus) (int $model.catalogueGpus)) }}
{{- fail (printf "%s.gpus: should be %d, as the catalogue's tensor_parallel says, got %d" $at (int $model.catalogueGpus) (int $model.gpus)) }}{{ end -}}
{{- if gt (len (default dict $model.cache)) 1 }}
{{- fail (printf "%s.cache: should be one of emptyDir, hostPath and persistentVolumeClaim" $at) }}{{ end -}}
{{- $most := add (int (default (default 1 $model.replicas) (get (default dict $model.autoscaling) "max"))) (int $model.surge) -}}
{{- $claim := default dict (get (default dict $model.cache) "persistentVolumeClaim") -}}
{{- if and $claim (not $claim.claimName) (hasPrefix "ReadWriteOnce" (default "ReadWriteOnce" $claim.accessMode)) (gt $most 1) }}
{{- fail (printf "%s.cache.persistentVolumeClaim.accessMode: should be ReadWriteMany, as there may be %d workers, those of surge with them: the volume would be at one node" $at $most) }}{{ end -}}
{{- with $model.autoscaling -}}
{{- if hasKey $model "replicas" }}{{ fail (printf "%s.replicas, %s.autoscaling: give one of the two" $at $at) }}{{ end -}}
{{- include "crofai.checkScaling" (dict "at" (printf "%s.autoscaling" $at) "hpa" $.root.Values.hpa.enabled "scaling" .) -}}
{{- end -}}
{{- end -}}

{{- define "crofai.checkScaling" -}}
{{- $at := .at -}}
{{- $scaling := .scaling -}}
{{- if gt (int $scaling.min) (int $scaling.max) }}{{ fail (printf "%s.min: should be at most max" $at) }}{{ end -}}
{{- if and .hpa (eq (int $scaling.min) 0) }}
{{- fail (printf "%s.min: should be at least 1: hpa cannot start the first worker, keda can" $at) }}{{ end -}}
{{- if and .hpa $scaling.schedule }}{{ fail (printf "%s.schedule: needs keda: hpa has no clock" $at) }}{{ end -}}
{{- range $number, $entry := $scaling.schedule -}}
{{- $one := printf "%s.schedule[%d]" $at $number -}}
{{- if ge (int .from) (int .to) }}{{ fail (printf "%s.from: should be less than to; write a night as two entries" $one) }}{{ end -}}
{{- if gt (int .min) (int $scaling.max) }}{{ fail (printf "%s.min: should be at most max" $one) }}{{ end -}}
{{- end -}}
{{- end -}}
