{{- define "agent.name" -}}{{ .Values.nameOverride | default .Release.Name | trunc 50 | trimSuffix "-" }}{{- end -}}
{{- define "agent.account" -}}{{ .Values.serviceAccount.name | default (include "agent.name" .) }}{{- end -}}
{{- define "agent.selector" -}}
app.kubernetes.io/name: brokkr-agent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- define "agent.labels" -}}
{{ include "agent.selector" . }}
app.kubernetes.io/part-of: brokkr
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- define "agent.image" -}}
{{- $i := .Values.image -}}
{{- $name := printf "%s/%s" (trimSuffix "/" $i.registry) $i.repository -}}
{{- if $i.digest }}{{ $name }}@{{ $i.digest }}{{ else }}{{ $name }}:{{ $i.tag | default (printf "v%s" .Chart.AppVersion) }}{{ end -}}
{{- end -}}
{{/* "true" if the agent is given its key, and does not join. */}}
{{- define "agent.keyed" -}}{{- if or .Values.auth.existingSecret .Values.auth.pak -}}true{{- end -}}{{- end -}}
{{- define "agent.config" -}}
agent:
  broker_url: {{ required "\n\nbroker.url is missing: --set broker.url=http://brokkr-broker:3000, or where your broker is" .Values.broker.url | quote }}
  {{- if .Values.broker.caSecret }}
  ca_file: /etc/brokkr-ca/ca.crt
  {{- end }}
  {{- if .Values.broker.clientCertSecret }}
  client_cert: /etc/brokkr-client/tls.crt
  client_key: /etc/brokkr-client/tls.key
  {{- end }}
  namespaced: {{ eq .Values.rbac.scope "namespace" }}
  resync: {{ .Values.agent.resync | quote }}
  pod_logs: {{ .Values.agent.podLogs }}
  {{- if not (include "agent.keyed" .) }}
  name: {{ .Values.join.agentName | default .Release.Name | quote }}
  cluster_name: {{ .Values.join.clusterName | default .Values.join.agentName | default .Release.Name | quote }}
  key_secret: {{ include "agent.name" . }}-key
  {{- end }}
log:
  level: {{ .Values.log.level }}
  format: {{ .Values.log.format }}
otlp:
  {{- with .Values.otlp.endpoint }}
  endpoint: {{ . | quote }}
  {{- end }}
  sample: {{ .Values.otlp.sample }}
{{- end -}}
