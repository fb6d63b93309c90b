{{/* What all charts of the broker share. The original is charts/shared.tpl; `charts/sync.sh` copies it, so that each service installs alone. */}}

{{/* Name of the whole installation: all names begin with it. */}}
{{- define "brokkr.base" -}}
{{- .Values.global.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of a component's objects: (dict "root" $ "component" "api"). The all-in-one broker has the base's own name. */}}
{{- define "brokkr.name" -}}
{{- $base := include "brokkr.base" .root -}}
{{- if or (eq .component "broker") (hasSuffix .component $base) -}}{{ $base }}{{- else -}}{{ $base }}-{{ .component }}{{- end -}}
{{- end -}}

{{- define "brokkr.selector" -}}
app.kubernetes.io/name: brokkr
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* "true" where a service is a release of its own. */}}
{{- define "brokkr.alone" -}}{{- if and .root.Chart.IsRoot (ne .component "broker") -}}true{{- end -}}{{- end -}}

{{/* Selects the pods of another component, "of", of the installation. Of releases of their own nobody knows how they are called. */}}
{{- define "brokkr.beside" -}}
{{- if include "brokkr.alone" . -}}
app.kubernetes.io/name: brokkr
app.kubernetes.io/component: {{ .of }}
{{- else -}}
{{- include "brokkr.selector" (dict "root" .root "component" .of) -}}
{{- end -}}
{{- end -}}

{{- define "brokkr.labels" -}}
{{ include "brokkr.selector" . }}
app.kubernetes.io/part-of: brokkr
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* Reference of one of our images: (dict "root" $ "image" (dict "repository" ... "digest" ...)). */}}
{{- define "brokkr.image" -}}
{{- $global := .root.Values.global.image -}}
{{- $name := printf "%s/%s" (trimSuffix "/" $global.registry) .image.repository -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.image.tag | default $global.tag | default (printf "v%s" .root.Chart.AppVersion)) -}}
{{- end -}}
{{- end -}}

{{/* Names of the Secrets: of yours, or those that the umbrella chart makes. A service that is installed alone makes none. */}}
{{- define "brokkr.secret" -}}
{{- $given := (get .root.Values.global .kind).existingSecret -}}
{{- if $given -}}{{ $given }}
{{- else if include "brokkr.alone" . -}}
{{- fail (printf "\n\nInstalled alone, this chart makes no Secrets: set global.%s.existingSecret (docs/install.md, \"Secrets\")." .kind) -}}
{{- else -}}{{ include "brokkr.base" .root }}-{{ .kind }}
{{- end -}}
{{- end -}}

{{/* "true" if the component has Redis. The all-in-one broker needs it for more than one replica only. */}}
{{- define "brokkr.redis" -}}
{{- $g := .root.Values.global.redis -}}
{{- if or (ne .component "broker") $g.url $g.existingSecret (and .root.Values.redis .root.Values.redis.enabled) -}}true{{- end -}}
{{- end -}}

{{/* The configuration file: the chart's own keys over `config` over `global.config`. Secrets have no place in it. */}}
{{- define "brokkr.config" -}}
{{- $root := .root -}}
{{- $config := mergeOverwrite (deepCopy (.root.Values.global.config | default dict)) (deepCopy (.root.Values.config | default dict)) -}}
{{- range $section, $key := dict "database" "url" "redis" "url" "secrets" "keys" "broker" "pak_hash" -}}
{{- if hasKey (get $config $section | default dict) $key -}}
{{- fail (printf "\n\nconfig.%s.%s is a secret and does not belong into a ConfigMap: use global.*.existingSecret (docs/install.md, \"Secrets\")." $section $key) -}}
{{- end -}}
{{- end -}}
{{- $own := dict -}}
{{- if $root.Values.global.monitoring.enabled -}}{{- $_ := set $own "admin" (dict "addr" ":9090") -}}{{- end -}}
{{- if and (include "brokkr.redis" .) $root.Values.global.redis.caSecret -}}{{- $_ := set $own "redis" (dict "ca_file" "/etc/brokkr-redis-ca/ca.crt") -}}{{- end -}}
{{- if eq .component "gateway" -}}
{{- if and (include "brokkr.alone" .) (not $root.Values.apiURL) (not $root.Values.global.fullnameOverride) -}}
{{- fail "\n\nInstalled alone, the gateway does not know where the api is: set apiURL, such as http://brokkr-api:3000, or the same global.fullnameOverride for gateway and api (docs/install.md, \"Services apart\")." -}}
{{- end -}}
{{- $scheme := ternary "https" "http" (ne (include "brokkr.tls" .) "") -}}
{{- $api := printf "%s://%s:3000" $scheme (include "brokkr.name" (dict "root" $root "component" "api")) -}}
{{- $section := dict "proxy_admin" (ne (toString $root.Values.proxyAdmin) "false") "api_url" ($root.Values.apiURL | default $api) -}}
{{- if include "brokkr.tls" . -}}{{- $_ := set $section "api_ca_file" "/etc/brokkr-tls/ca.crt" -}}{{- end -}}
{{- $_ := set $own "gateway" $section -}}
{{- end -}}
{{- if include "brokkr.tls" . -}}
{{- $section := get $own .component | default dict -}}
{{- $_ := set $section "tls_cert" "/etc/brokkr-tls/tls.crt" -}}
{{- $_ := set $section "tls_key" "/etc/brokkr-tls/tls.key" -}}
{{- if and (ne .component "api") $root.Values.global.tls.clientCA.existingSecret -}}
{{- $_ := set $section "tls_client_ca" "/etc/brokkr-client-ca/ca.crt" -}}
{{- end -}}
{{- $_ := set $own .component $section -}}
{{- end -}}
{{- mergeOverwrite $config $own | toYaml -}}
{{- end -}}

{{/* Changes when the pods have to be made anew: the configuration, and Secrets of yours at the time of the upgrade. */}}
{{- define "brokkr.checksum" -}}
{{- $root := .root -}}
{{- $all := list (include "brokkr.config" .) ($root.Values.global.database.url | default "") ($root.Values.global.redis.url | default "") -}}
{{- range $kind := list "database" "redis" "keys" "admin" -}}
{{- with (get $root.Values.global $kind).existingSecret -}}
{{- $all = append $all (toJson ((lookup "v1" "Secret" $root.Release.Namespace .).data | default dict)) -}}
{{- end -}}
{{- with (get $root.Values.global $kind).caSecret -}}
{{- $all = append $all (toJson ((lookup "v1" "Secret" $root.Release.Namespace .).data | default dict)) -}}
{{- end -}}
{{- end -}}
{{- toJson $all | sha256sum -}}
{{- end -}}

{{/* The Secret with the certificate; empty: plain HTTP. The scheduler has nothing to serve but health. */}}
{{- define "brokkr.tls" -}}
{{- $tls := .root.Values.global.tls -}}
{{- if ne .component "scheduler" -}}
{{- if $tls.existingSecret -}}{{ $tls.existingSecret }}{{- else if $tls.certManager.enabled -}}{{ include "brokkr.base" .root }}-tls{{- end -}}
{{- end -}}
{{- end -}}

{{- define "brokkr.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "brokkr.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "brokkr.env" -}}
- name: BROKKR_CONFIG_FILE
  value: /etc/brokkr/config.yaml
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "brokkr.secret" (merge (dict "kind" "database") .) }}
      key: url
{{- if include "brokkr.redis" . }}
- name: REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "brokkr.secret" (merge (dict "kind" "redis") .) }}
      key: url
{{- end }}
{{- if .root.Values.global.database.caSecret }}
- name: PGSSLROOTCERT
  value: /etc/brokkr-database-ca/ca.crt
{{- end }}
- name: BROKKR__SECRETS__KEYS
  valueFrom:
    secretKeyRef:
      name: {{ include "brokkr.secret" (merge (dict "kind" "keys") .) }}
      key: secrets-keys
{{- if has .component (list "broker" "api") }}
- name: BROKKR__BROKER__PAK_HASH
  valueFrom:
    secretKeyRef:
      name: {{ include "brokkr.secret" (merge (dict "kind" "admin") .) }}
      key: pak-hash
{{- end }}
{{- end -}}

{{- define "brokkr.mounts" -}}
- {name: config, mountPath: /etc/brokkr, readOnly: true}
{{- if .root.Values.global.database.caSecret }}
- {name: database-ca, mountPath: /etc/brokkr-database-ca, readOnly: true}
{{- end }}
{{- if and (include "brokkr.redis" .) .root.Values.global.redis.caSecret }}
- {name: redis-ca, mountPath: /etc/brokkr-redis-ca, readOnly: true}
{{- end }}
{{- if include "brokkr.tls" . }}
- {name: tls, mountPath: /etc/brokkr-tls, readOnly: true}
{{- if and (ne .component "api") .root.Values.global.tls.clientCA.existingSecret }}
- {name: client-ca, mountPath: /etc/brokkr-client-ca, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{/* ConfigMap, ServiceAccount, Deployment and what belongs to it: (dict "root" $ "component" "api" "port" 3000 "section" "api.addr" "args" (list)). */}}
{{- define "brokkr.component" -}}
{{- $root := .root -}}
{{- $v := .root.Values -}}
{{- $name := include "brokkr.name" . -}}
{{- $top := . -}}
{{- if and (eq .component "api") $v.global.tls.clientCA.existingSecret -}}
{{- with include "brokkr.apiOpenedBy" $root -}}
{{- fail (printf "\n\nWith global.tls.clientCA agents show a certificate to the gateway, and the api asks for none: %s of the api would let them in without. Let them, and everybody else, call the gateway (docs/install.md, \"TLS\")." .) -}}
{{- end -}}
{{- end -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "brokkr.labels" . | nindent 4 }}
data:
  config.yaml: |
    {{- include "brokkr.config" . | nindent 4 }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "brokkr.labels" . | nindent 4 }}
  {{- with $v.serviceAccount.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "brokkr.labels" . | nindent 4 }}
spec:
  {{- if not $v.autoscaling.enabled }}
  replicas: {{ $v.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
  selector:
    matchLabels: {{- include "brokkr.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "brokkr.labels" . | nindent 8 }}
        {{- with $v.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ include "brokkr.checksum" . }}
        {{- with $v.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ $name }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ $v.terminationGracePeriodSeconds }}
      {{- with $v.global.image.pullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $v.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $v.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $v.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $v.affinity }}
      affinity: {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        {{- if $v.topologySpreadConstraints }}
        {{- toYaml $v.topologySpreadConstraints | nindent 8 }}
        {{- else }}
        {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - maxSkew: 1
          topologyKey: {{ $key }}
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "brokkr.selector" $top | nindent 14 }}
        {{- end }}
        {{- end }}
      securityContext: {{- include "brokkr.podSecurity" . | nindent 8 }}
      initContainers:
        # Waits for the database and brings its schema up to date; of several at a time one migrates.
        - name: migrate
          image: {{ include "brokkr.image" (dict "root" $root "image" $v.migrations.image) }}
          imagePullPolicy: {{ $v.global.image.pullPolicy }}
          args: [migrate, --wait, {{ $v.migrations.wait | quote }}]
          env:
            {{- include "brokkr.env" . | nindent 12 }}
            {{- with $v.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          securityContext: {{- include "brokkr.containerSecurity" . | nindent 12 }}
          resources: {{- toYaml $v.migrations.resources | nindent 12 }}
          volumeMounts:
            {{- include "brokkr.mounts" . | nindent 12 }}
      containers:
        - name: {{ .component }}
          image: {{ include "brokkr.image" (dict "root" $root "image" $v.image) }}
          imagePullPolicy: {{ $v.global.image.pullPolicy }}
          {{- with .args }}
          args: {{- toYaml . | nindent 12 }}
          {{- end }}
          env:
            {{- include "brokkr.env" . | nindent 12 }}
            {{- if and $v.global.joinToken.enabled (has .component (list "broker" "api")) (not (include "brokkr.alone" .)) }}
            - name: BROKKR__BROKER__JOIN_TOKEN
              valueFrom:
                secretKeyRef:
                  name: {{ include "brokkr.base" $root }}-join
                  key: join-token
            {{- end }}
            {{- with $v.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            - {name: http, containerPort: {{ .port }}, protocol: TCP}
            {{- if $v.global.monitoring.enabled }}
            - {name: metrics, containerPort: 9090, protocol: TCP}
            {{- end }}
          startupProbe:
            httpGet: {path: /healthz, port: http{{ if include "brokkr.tls" $top }}, scheme: HTTPS{{ end }}}
            periodSeconds: 1
            timeoutSeconds: 2
            failureThreshold: 120
          livenessProbe:
            httpGet: {path: /healthz, port: http{{ if include "brokkr.tls" $top }}, scheme: HTTPS{{ end }}}
            periodSeconds: 10
            timeoutSeconds: 3
            failureThreshold: 3
          readinessProbe:
            httpGet: {path: /readyz, port: http{{ if include "brokkr.tls" $top }}, scheme: HTTPS{{ end }}}
            periodSeconds: 5
            timeoutSeconds: 3
            failureThreshold: 2
          lifecycle:
            # Balancers and Services forget the pod before it stops listening.
            preStop:
              sleep: {seconds: {{ $v.preStopSleepSeconds }}}
          securityContext: {{- include "brokkr.containerSecurity" . | nindent 12 }}
          resources: {{- toYaml $v.resources | nindent 12 }}
          volumeMounts:
            {{- include "brokkr.mounts" . | nindent 12 }}
      volumes:
        - name: config
          configMap:
            name: {{ $name }}
        {{- with $v.global.database.caSecret }}
        - name: database-ca
          secret:
            secretName: {{ . }}
            defaultMode: 0440
            items: [{key: ca.crt, path: ca.crt}]
        {{- end }}
        {{- if and (include "brokkr.redis" .) $v.global.redis.caSecret }}
        - name: redis-ca
          secret:
            secretName: {{ $v.global.redis.caSecret }}
            defaultMode: 0440
            items: [{key: ca.crt, path: ca.crt}]
        {{- end }}
        {{- with include "brokkr.tls" . }}
        - name: tls
          secret:
            secretName: {{ . }}
            defaultMode: 0440
        {{- end }}
        {{- if and (include "brokkr.tls" .) (ne .component "api") $v.global.tls.clientCA.existingSecret }}
        - name: client-ca
          secret:
            secretName: {{ $v.global.tls.clientCA.existingSecret }}
            defaultMode: 0440
            items: [{key: ca.crt, path: ca.crt}] # the authority's own key is none of ours
        {{- end }}
{{- if $v.autoscaling.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "brokkr.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ $name }}
  minReplicas: {{ $v.autoscaling.minReplicas }}
  maxReplicas: {{ $v.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ $v.autoscaling.targetCPU }}}
{{- end }}
{{- if or $v.autoscaling.enabled (gt (int $v.replicas) 1) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "brokkr.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ $v.pdb.maxUnavailable }}
  selector:
    matchLabels: {{- include "brokkr.selector" . | nindent 6 }}
{{- end }}
{{- include "brokkr.policy" . }}
{{- include "brokkr.monitor" . }}
{{- end -}}

{{/* The Service of a component, or of another one's pods under its name: "selects". */}}
{{- define "brokkr.service" -}}
{{- $s := .root.Values.service -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "brokkr.name" . }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "brokkr.labels" . | nindent 4 }}
  {{- with $s.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $s.type }}
  selector: {{- include "brokkr.selector" (dict "root" .root "component" (.selects | default .component)) | nindent 4 }}
  ports:
    - name: http
      port: {{ $s.port }}
      targetPort: http
      protocol: TCP
      {{- if and $s.nodePort (ne $s.type "ClusterIP") }}
      nodePort: {{ $s.nodePort }}
      {{- end }}
{{- end -}}

{{/* The ports that URLs name, or mean by their scheme, and others, each once, as a JSON list: (dict "of" (list "https://x:8443") "and" (list 80)). */}}
{{- define "brokkr.ports" -}}
{{- $ports := list -}}
{{- range .and }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- range .of -}}
{{- if . -}}
{{- $hosts := regexReplaceAll "\\[[^]]*\\]" (regexReplaceAll "[/?#].*$" (regexReplaceAll "^[a-z0-9+]+://([^/@]*@)?" . "") "") "" -}}
{{- $named := regexFindAll ":[0-9]+" $hosts -1 -}}
{{- range $named }}{{ $ports = append $ports (trimPrefix ":" . | int) }}{{ end -}}
{{- if and (not $named) (hasPrefix "https:" .) }}{{ $ports = append $ports 443 }}{{ end -}}
{{- if and (not $named) (hasPrefix "http:" .) }}{{ $ports = append $ports 80 }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{/* How strangers could come to the api past the gateway, which alone asks for certificates of agents; empty: not at all. */}}
{{- define "brokkr.apiOpenedBy" -}}
{{- $v := .Values -}}
{{- $by := list -}}
{{- if $v.ingress.enabled }}{{ $by = append $by "ingress.enabled" }}{{ end -}}
{{- if $v.httpRoute.enabled }}{{ $by = append $by "httpRoute.enabled" }}{{ end -}}
{{- if ne $v.service.type "ClusterIP" }}{{ $by = append $by (printf "service.type=%s" $v.service.type) }}{{ end -}}
{{- if $v.networkPolicy.from }}{{ $by = append $by "networkPolicy.from" }}{{ end -}}
{{- join ", " $by -}}
{{- end -}}

{{/* Nothing goes in or out of the component's pods but what it needs. */}}
{{- define "brokkr.policy" -}}
{{- $root := .root -}}
{{- $np := .root.Values.networkPolicy -}}
{{- if .root.Values.global.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "brokkr.name" . }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "brokkr.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "brokkr.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- if or (eq .component "broker") (eq .component "gateway") (and (eq .component "api") (include "brokkr.apiOpenedBy" $root)) }}
    - ports:
        - {port: http, protocol: TCP}
      {{- with $np.from }}
      from: {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
    {{- if ne .component "scheduler" }}
    {{- if or (eq .component "api") (and $np.from (not (include "brokkr.alone" .))) }}
    # Those of this release that have to: the gateway, before the api; the pod of `helm test`, before what the public Service leads to.
    - ports:
        - {port: http, protocol: TCP}
      from:
        - podSelector:
            matchLabels: {{- include "brokkr.beside" (merge (dict "of" (ternary "gateway" "test" (eq .component "api"))) .) | nindent 14 }}
    {{- end }}
    {{- end }}
    {{- if $root.Values.global.monitoring.enabled }}
    - ports:
        - {port: metrics, protocol: TCP}
      from: {{- toYaml $root.Values.global.networkPolicy.monitoringFrom | nindent 8 }}
    {{- end }}
  egress:
    # Name servers; behind their Service at 53 some listen at 5353, as those of OpenShift do, and policies judge the port of the pod.
    - ports:
        - {port: 53, protocol: UDP}
        - {port: 53, protocol: TCP}
        - {port: 5353, protocol: UDP}
        - {port: 5353, protocol: TCP}
    {{- if $root.Values.global.networkPolicy.databaseTo }}
    - to: {{- toYaml $root.Values.global.networkPolicy.databaseTo | nindent 8 }}
    {{- else }}
    # PostgreSQL and Redis, wherever they are; global.networkPolicy.databaseTo narrows it.
    - ports:
        {{- range include "brokkr.ports" (dict "of" (list $root.Values.global.database.url $root.Values.global.redis.url) "and" $root.Values.global.networkPolicy.databasePorts) | fromJsonArray }}
        - {port: {{ . }}, protocol: TCP}
        {{- end }}
    {{- end }}
    {{- with (get (include "brokkr.config" . | fromYaml) "otlp" | default dict).endpoint }}
    - ports:
        {{- range include "brokkr.ports" (dict "of" (list .) "and" list) | fromJsonArray }}
        - {port: {{ . }}, protocol: TCP}
        {{- end }}
    {{- end }}
    {{- if and (eq .component "gateway") $root.Values.apiURL }}
    - ports:
        {{- range include "brokkr.ports" (dict "of" (list $root.Values.apiURL) "and" list) | fromJsonArray }}
        - {port: {{ . }}, protocol: TCP}
        {{- end }}
    {{- else if eq .component "gateway" }}
    - to:
        - podSelector:
            matchLabels: {{- include "brokkr.beside" (merge (dict "of" "api") .) | nindent 14 }}
      ports:
        - {port: 3000, protocol: TCP}
    {{- end }}
    {{- with $np.egress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end -}}

{{- define "brokkr.monitor" -}}
{{- $root := .root -}}
{{- $m := .root.Values.global.monitoring -}}
{{- if and $m.enabled $m.podMonitor.enabled }}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ include "brokkr.name" . }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "brokkr.labels" . | nindent 4 }}
    {{- with $m.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels: {{- include "brokkr.selector" . | nindent 6 }}
  podMetricsEndpoints:
    - port: metrics
      interval: {{ $m.interval }}
{{- end }}
{{- if and $m.enabled $m.serviceMonitor.enabled }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "brokkr.name" . }}-metrics
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "brokkr.labels" . | nindent 4 }}
    brokkr.io/metrics: "true"
spec:
  clusterIP: None
  selector: {{- include "brokkr.selector" . | nindent 4 }}
  ports:
    - {name: metrics, port: 9090, targetPort: metrics, protocol: TCP}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ include "brokkr.name" . }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "brokkr.labels" . | nindent 4 }}
    {{- with $m.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- include "brokkr.selector" . | nindent 6 }}
      brokkr.io/metrics: "true"
  endpoints:
    - port: metrics
      interval: {{ $m.interval }}
{{- end }}
{{- end -}}

{{/* Ingress and Gateway API route to a component's Service. */}}
{{- define "brokkr.routes" -}}
{{- $name := include "brokkr.name" . -}}
{{- $v := .root.Values -}}
{{- if $v.ingress.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "brokkr.labels" . | nindent 4 }}
  {{- with $v.ingress.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $v.ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with $v.ingress.tlsSecret }}
  tls:
    - secretName: {{ . }}
      hosts: {{- toYaml $v.ingress.hosts | nindent 8 }}
  {{- end }}
  rules:
    {{- range $v.ingress.hosts }}
    - host: {{ . | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {{ $name }}
                port: {name: http}
    {{- end }}
{{- end }}
{{- if $v.httpRoute.enabled }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "brokkr.labels" . | nindent 4 }}
  {{- with $v.httpRoute.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  parentRefs: {{- toYaml $v.httpRoute.parentRefs | nindent 4 }}
  {{- with $v.httpRoute.hostnames }}
  hostnames: {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - backendRefs:
        - name: {{ $name }}
          port: {{ $v.service.port }}
{{- end }}
{{- end -}}
