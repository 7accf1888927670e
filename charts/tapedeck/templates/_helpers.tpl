{{- define "tapedeck.image" -}}
{{- $images := .root.Values.images }}
{{- $version := printf ":%s" ($images.tag | default .root.Chart.AppVersion) }}
{{- with get $images.digests .name }}{{ $version = printf "@%s" . }}{{ end -}}
{{ $images.registry }}/{{ .name }}{{ $version }}
{{- end }}

{{- define "tapedeck.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/part-of: tapedeck
{{- end }}

{{- define "tapedeck.labels" -}}
{{ include "tapedeck.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "tapedeck.fullname" -}}
{{ .Release.Name }}
{{- end }}

{{- /* The namespaces whose resources the gateway shows and changes. */}}
{{- define "tapedeck.controlledNamespaces" -}}
{{ toYaml (.Values.gateway.control.namespaces | default (list .Release.Namespace)) }}
{{- end }}

{{- /* The Secret with the keys that sign controls and results. */}}
{{- define "tapedeck.keySecret" -}}
{{ .Values.operator.existingKeySecret | default (printf "%s-operator-key" (include "tapedeck.fullname" .)) }}
{{- end }}

{{- define "tapedeck.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "tapedeck.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- /* A volume for temporary files, as large as the ephemeral storage that the container may use. */}}
{{- define "tapedeck.scratch" -}}
emptyDir: {{ with dig "limits" "ephemeral-storage" "" . }}{ sizeLimit: {{ . | quote }} }{{ else }}{}{{ end }}
{{- end }}

{{- define "tapedeck.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "tapedeck.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Not empty where the release brings its own broker or database. */}}
{{- define "tapedeck.bundledBroker" -}}
{{- if and .Values.broker.enabled (not .Values.kafka.bootstrap) }}true{{ end }}
{{- end }}

{{- define "tapedeck.bundledStore" -}}
{{- if and .Values.timescaledb.enabled (not .Values.store.host) }}true{{ end }}
{{- end }}

{{- define "tapedeck.bootstrap" -}}
{{- if .Values.kafka.bootstrap }}{{ .Values.kafka.bootstrap }}
{{- else if .Values.broker.enabled }}redpanda.{{ .Release.Namespace }}.svc:9093
{{- else if .Values.connections.create }}{{ fail "kafka.bootstrap: got nothing, expected host:port of a Kafka broker, or broker.enabled=true" }}
{{- end }}
{{- end }}

{{- define "tapedeck.storeHost" -}}
{{- if .Values.store.host }}{{ .Values.store.host }}
{{- else if .Values.timescaledb.enabled }}{{ include "tapedeck.fullname" . }}-timescaledb.{{ .Release.Namespace }}.svc
{{- else if .Values.connections.create }}{{ fail "store.host: got nothing, expected the host of a PostgreSQL or TimescaleDB, or timescaledb.enabled=true" }}
{{- end }}
{{- end }}

{{- /* Whether the migration makes the database's roles. */}}
{{- define "tapedeck.makesRoles" -}}
{{- if or .Values.store.createRoles (include "tapedeck.bundledStore" .) }}true{{ end }}
{{- end }}

{{- /* Which entry of store.roles a workload uses. */}}
{{- define "tapedeck.role" -}}
{{- $own := (get .root.Values.store.roles .workload).username }}
{{- if or $own (include "tapedeck.makesRoles" .root) }}{{ .workload }}{{ else }}reader{{ end }}
{{- end }}

{{- /* Password of a database role: the value, else the one that was made before, else a new one. */}}
{{- define "tapedeck.password" -}}
{{- $given := (get .root.Values.store.roles .role).password }}
{{- $kept := dig "data" .role "" (lookup "v1" "Secret" .root.Release.Namespace (printf "%s-timescaledb" (include "tapedeck.fullname" .root)) | default dict) }}
{{- if $given }}{{ $given }}
{{- else if and .root.Values.store.createRoles .root.Values.store.host }}
{{- fail (printf "store.roles.%s.password: got nothing, expected a password, because of store.createRoles" .role) }}
{{- else if $kept }}{{ $kept | b64dec }}
{{- else if .root.Values.timescaledb.enabled }}
{{- /* the same within one rendering */}}
{{- if not (hasKey .root.Values.store.roles (printf "%s-made" .role)) }}{{ $_ := set .root.Values.store.roles (printf "%s-made" .role) (randAlphaNum 32) }}{{ end }}
{{- get .root.Values.store.roles (printf "%s-made" .role) }}
{{- end }}
{{- end }}

{{- define "tapedeck.dsn" -}}
{{- $store := .root.Values.store }}
{{- $role := get $store.roles .role }}
{{- $password := include "tapedeck.password" . }}
{{- $user := $role.username | default (printf "tapedeck_%s" .role) | urlquery }}
{{- if $password }}{{ $user = printf "%s:%s" $user ($password | urlquery | replace "+" "%20") }}{{ end }}
{{- $root := ternary "&sslrootcert=/etc/tapedeck/connections/store_ca" "" (not (empty $store.ca)) -}}
postgresql://{{ $user }}@{{ include "tapedeck.storeHost" .root }}:{{ $store.port }}/{{ $store.database }}?sslmode={{ $store.sslMode }}{{ $root }}
{{- end }}

{{- /* Secrets of this release, which no resource may name. */}}
{{- define "tapedeck.ownSecrets" -}}
- tapedeck-connections
- {{ include "tapedeck.keySecret" . }}
- {{ .Values.gateway.existingTokensSecret | default (printf "%s-gateway-tokens" (include "tapedeck.fullname" .)) }}
{{- range list .Values.gateway.tls.secret .Values.gateway.ingress.tlsSecret }}
{{- if . }}
- {{ . }}
{{- end }}
{{- end }}
{{- if .Values.timescaledb.enabled }}
- {{ include "tapedeck.fullname" . }}-timescaledb
{{- end }}
{{- if include "tapedeck.readsStore" . }}
- {{ include "tapedeck.fullname" . }}-dashboards
- {{ include "tapedeck.fullname" . }}-datasources
{{- with .Values.metrics.existingStoreSecret }}
- {{ . }}
{{- end }}
{{- end }}
{{- range .Values.recorder.sinks }}
{{- with .secret }}
- {{ . }}
{{- end }}
{{- end }}
{{- range .Values.images.pullSecrets }}
- {{ . }}
{{- end }}
{{- end }}

{{- /* The volume with one workload's connections. */}}
{{- define "tapedeck.connections" -}}
secret:
  secretName: tapedeck-connections
  items:
    {{- $workload := .workload }}
    {{- range list "kafka_bootstrap" "kafka_security_protocol" "kafka_sasl_mechanism" "kafka_username" "kafka_password" "kafka_ca" "store_dsn" "store_ca" }}
    - { key: {{ $workload }}.{{ . }}, path: {{ . }} }
    {{- end }}
{{- end }}
