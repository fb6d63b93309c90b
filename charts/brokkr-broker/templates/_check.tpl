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
{{- if and .Values.microservices.enabled .Values.networkPolicy.from -}}
{{- fail "\n\nnetworkPolicy.from is the all-in-one broker's and would shut out nobody: with microservices.enabled it is gateway.networkPolicy.from and api.networkPolicy.from." -}}
{{- end -}}
{{- end -}}
