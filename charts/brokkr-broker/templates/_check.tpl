{{/* What cannot work is said here, before anything is installed. */}}
{{- define "brokkr.check" -}}
{{- $g := .Values.global -}}
{{- if and (not .Values.postgresql.enabled) (not $g.database.url) (not $g.database.existingSecret) -}}
{{- fail "\n\nNo database. For a first try:     --set postgresql.enabled=true\nFor one of yours, a Secret:      kubectl create secret generic brokkr-database --from-literal=url='postgres://user:password@host:5432/brokkr?sslmode=verify-full'\n                                 --set global.database.existingSecret=brokkr-database" -}}
{{- end -}}
{{- if and .Values.postgresql.enabled $g.database.url -}}
{{- fail "\n\nBoth postgresql.enabled and global.database.url are set; keep one of them." -}}
{{- end -}}
{{- if and .Values.redis.enabled $g.redis.url -}}
{{- fail "\n\nBoth redis.enabled and global.redis.url are set; keep one of them." -}}
{{- end -}}
{{- $redis := or .Values.redis.enabled $g.redis.url $g.redis.existingSecret -}}
{{- if and .Values.microservices.enabled (not $redis) -}}
{{- fail "\n\nmicroservices.enabled needs Redis: --set redis.enabled=true, or global.redis.existingSecret." -}}
{{- end -}}
{{- if and (not .Values.microservices.enabled) (not $redis) (or .Values.autoscaling.enabled (gt (int .Values.replicas) 1)) -}}
{{- fail "\n\nMore than one replica needs Redis: --set redis.enabled=true, or global.redis.existingSecret." -}}
{{- end -}}
{{- if .Values.microservices.enabled -}}
{{- $idle := list -}}
{{- range $key := list "config" "extraEnv" "priorityClassName" "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "podLabels" "podAnnotations" -}}
{{- if get $.Values $key }}{{ $idle = append $idle $key }}{{ end -}}
{{- end -}}
{{- if ne (int .Values.replicas) 1 }}{{ $idle = append $idle "replicas" }}{{ end -}}
{{- if .Values.autoscaling.enabled }}{{ $idle = append $idle "autoscaling.enabled" }}{{ end -}}
{{- if .Values.networkPolicy.from }}{{ $idle = append $idle "networkPolicy.from" }}{{ end -}}
{{- if $idle -}}
{{- fail (printf "\n\nWith microservices.enabled these do nothing, they are the all-in-one broker's: %s. Set them for each service: api.%s, gateway.%s, scheduler.%s; configuration of all is global.config." (join ", " $idle) (first $idle) (first $idle) (first $idle)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
