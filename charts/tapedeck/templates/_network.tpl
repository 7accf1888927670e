{{- /* Peers and rules of NetworkPolicies, as lists in YAML. Ports are those of the pods, as policies see them. */}}

{{- define "tapedeck.ownNamespace" -}}
matchLabels: { kubernetes.io/metadata.name: {{ .Release.Namespace }} }
{{- end }}

{{- /* Pods of this release, by names. */}}
{{- define "tapedeck.ownPods" -}}
- podSelector:
    matchLabels: { app.kubernetes.io/instance: {{ .root.Release.Name }}, app.kubernetes.io/part-of: tapedeck }
    matchExpressions:
      - { key: app.kubernetes.io/name, operator: In, values: {{ toJson .names }} }
{{- end }}

{{- /* Pods of runs, in every namespace in which there may be any. */}}
{{- define "tapedeck.runPods" -}}
- namespaceSelector: {{ if eq .Values.operator.watch "all" }}{}{{ else }}{{ include "tapedeck.ownNamespace" . | nindent 4 }}{{ end }}
  podSelector:
    matchLabels: { app.kubernetes.io/managed-by: tapedeck-operator, app.kubernetes.io/part-of: tapedeck }
{{- end }}

{{- define "tapedeck.brokerPods" -}}
- namespaceSelector: {{ include "tapedeck.ownNamespace" . | nindent 4 }}
  podSelector: { matchLabels: { app.kubernetes.io/name: redpanda, app.kubernetes.io/instance: {{ .Release.Name }} } }
{{- end }}

{{- define "tapedeck.storePods" -}}
- namespaceSelector: {{ include "tapedeck.ownNamespace" . | nindent 4 }}
  podSelector: { matchLabels: {{ include "tapedeck.selector" (dict "root" . "name" "timescaledb") | fromYaml | toJson }} }
{{- end }}

{{- /* Who may connect to the pods of runs: the operator, for probes and controls, and what scrapes metrics. */}}
{{- define "tapedeck.ingressFrom" -}}
- namespaceSelector: {{ include "tapedeck.ownNamespace" . | nindent 4 }}
  podSelector: { matchLabels: { app.kubernetes.io/name: operator, app.kubernetes.io/instance: {{ .Release.Name }} } }
{{ include "tapedeck.metricsFrom" . }}
{{- end }}

{{- define "tapedeck.toNames" -}}
{{- with .Values.networkPolicies.dns }}
- ports: [{ protocol: UDP, port: {{ .port }} }, { protocol: TCP, port: {{ .port }} }]
  to: {{- toYaml .peers | nindent 4 }}
{{- end }}
{{- end }}

{{- /* A broker names others than those of bootstrap, at the same ports. Without connections.create nothing else asks for
       bootstrap and host, and policies for other ports would shut every workload out. */}}
{{- define "tapedeck.toBroker" -}}
{{- $bootstrap := include "tapedeck.bootstrap" . | required "kafka.bootstrap: got nothing, expected host:port of the broker that the Secret tapedeck-connections names, because of networkPolicies.enabled: its policies open this port and no other" }}
{{- $peers := .Values.networkPolicies.brokerPeers }}
{{- if and (empty $peers) (include "tapedeck.bundledBroker" .) }}
{{- $peers = include "tapedeck.brokerPods" . | fromYamlArray }}
{{- end }}
{{- $ports := list }}
{{- range splitList "," $bootstrap }}{{ $ports = append $ports (dict "protocol" "TCP" "port" (regexFind "[0-9]+$" . | int)) }}{{ end }}
- ports: {{ uniq $ports | toJson }}
  {{- with $peers }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "tapedeck.toStore" -}}
{{- $bundled := include "tapedeck.bundledStore" . }}
{{- if not (or $bundled .Values.store.host) }}
{{- fail "store.host: got nothing, expected the host of the database that the Secret tapedeck-connections names, because of networkPolicies.enabled: its policies open store.port and no other" }}
{{- end }}
{{- $peers := .Values.networkPolicies.storePeers }}
{{- if and (empty $peers) $bundled }}
{{- $peers = include "tapedeck.storePods" . | fromYamlArray }}
{{- end }}
- ports: [{ protocol: TCP, port: {{ ternary 5432 (int .Values.store.port) (not (empty $bundled)) }} }]
  {{- with $peers }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- /* The port of a URL. */}}
{{- define "tapedeck.portOf" -}}
{{- $url := urlParse . }}
{{- trimPrefix ":" (regexFind ":[0-9]+$" $url.host) | default (ternary "443" "80" (eq $url.scheme "https")) }}
{{- end }}

{{- /* The receiver of traces; nothing where nothing is traced. */}}
{{- define "tapedeck.toTraces" -}}
{{- with .Values.tracing.endpoint }}
- ports: [{ protocol: TCP, port: {{ include "tapedeck.portOf" . }} }]
  {{- with $.Values.networkPolicies.tracingPeers }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* What every pod of a run may connect to. */}}
{{- define "tapedeck.egress" -}}
{{ include "tapedeck.toNames" . }}
{{ include "tapedeck.toBroker" . }}
{{ include "tapedeck.toStore" . }}
{{ include "tapedeck.toTraces" . }}
{{- end }}
