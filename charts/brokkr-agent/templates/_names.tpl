{{- define "agent.name" -}}{{ .Values.nameOverride | default .Release.Name | trunc 50 | trimSuffix "-" }}{{- end -}}
{{- define "agent.account" -}}{{ .Values.serviceAccount.name | default (include "agent.name" .) }}{{- end -}}
{{- define "agent.selector" -}}
app.kubernetes.io/name: brokkr-agent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- define "agent.labels" -}}
{{ include "agent.selector" . }}
{{ include "agent.marks" . }}
{{- end -}}
{{- define "agent.marks" -}}
app.kubernetes.io/component: agent
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
  {{- if not (kindIs "invalid" .Values.agent.protectedNamespaces) }}
  protected_namespaces: {{ .Values.agent.protectedNamespaces | toJson }}
  {{- end }}
  {{- with .Values.agent.defaultServiceAccount }}
  default_service_account: {{ . | quote }}
  {{- end }}
  {{- with .Values.rbac.impersonate }}
  service_accounts:
    {{- range . }}
    - {{ printf "%s%s/%s" (ternary (printf "%s=" .generator) "" (not (empty .generator))) .namespace .name | quote }}
    {{- end }}
  {{- end }}
  {{- with .Values.agent.healthRules }}
  health_rules:
    {{- toYaml . | nindent 4 }}
  {{- end }}
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
{{/* What each container needs that acts as the agent: its configuration and its key. */}}
{{- define "agent.env" -}}
- name: BROKKR_CONFIG_FILE
  value: /etc/brokkr/config.yaml
{{- if include "agent.keyed" . }}
- name: BROKKR__AGENT__PAK
  valueFrom:
    secretKeyRef:
      name: {{ .Values.auth.existingSecret | default (include "agent.name" .) }}
      key: pak
{{- else }}
- name: BROKKR__AGENT__JOIN_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ ternary (include "agent.name" .) .Values.join.existingSecret (ne .Values.join.token "") }}
      key: join-token
      optional: true # an agent that has joined needs it no more
{{- end }}
{{- with .Values.extraEnv }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}
{{- define "agent.mounts" -}}
- {name: config, mountPath: /etc/brokkr, readOnly: true}
{{- if .Values.broker.caSecret }}
- {name: ca, mountPath: /etc/brokkr-ca, readOnly: true}
{{- end }}
{{- if .Values.broker.clientCertSecret }}
- {name: client-cert, mountPath: /etc/brokkr-client, readOnly: true}
{{- end }}
{{- end -}}
{{- define "agent.volumes" -}}
- name: config
  configMap:
    name: {{ include "agent.name" . }}
{{- with .Values.broker.caSecret }}
- name: ca
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items: [{key: ca.crt, path: ca.crt}] # its key is the broker's alone
{{- end }}
{{- with .Values.broker.clientCertSecret }}
- name: client-cert
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end -}}
{{/* networkPolicy.ports, and those of the broker and the collector where their URLs name others, as a JSON list. */}}
{{- define "agent.ports" -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.ports }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- range list .Values.broker.url .Values.otlp.endpoint -}}
{{- $named := regexFind ":[0-9]+(/|$)" . | regexFind "[0-9]+" -}}
{{- if $named }}{{ $ports = append $ports (int $named) }}
{{- else if hasPrefix "https:" . }}{{ $ports = append $ports 443 }}
{{- else if hasPrefix "http:" . }}{{ $ports = append $ports 80 }}{{ end -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}
{{- define "agent.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}
{{- define "agent.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}
