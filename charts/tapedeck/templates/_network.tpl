{{- define "tapedeck.ingressFrom" -}}
- namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: {{ .Release.Namespace }} } }
  podSelector: { matchLabels: { app.kubernetes.io/name: operator, app.kubernetes.io/instance: {{ .Release.Name }} } }
{{- with .Values.networkPolicies.metricsFrom }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Names, broker and database, each by port and, where it is known who it is, by peer. */}}
{{- define "tapedeck.egress" -}}
{{- $own := dict "matchLabels" (dict "kubernetes.io/metadata.name" .Release.Namespace) }}
{{- $broker := .Values.networkPolicies.brokerPeers }}
{{- if and (empty $broker) .Values.broker.enabled }}
{{- $broker = list (dict "namespaceSelector" $own "podSelector" (dict "matchLabels" (dict "app.kubernetes.io/name" "redpanda"))) }}
{{- end }}
{{- $store := .Values.networkPolicies.storePeers }}
{{- if and (empty $store) .Values.timescaledb.enabled }}
{{- $store = list (dict "namespaceSelector" $own "podSelector" (dict "matchLabels" (include "tapedeck.selector" (dict "root" . "name" "timescaledb") | fromYaml))) }}
{{- end }}
{{- $kafka := include "tapedeck.bootstrap" . | default "kafka:9092" }}
- ports: [{ protocol: UDP, port: 53 }, { protocol: TCP, port: 53 }]
{{- /* a broker names others than the first, at the same port */}}
- ports: [{ protocol: TCP, port: {{ regexFind "[0-9]+$" $kafka }} }]
  {{- with $broker }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
- ports: [{ protocol: TCP, port: {{ .Values.store.port }} }]
  {{- with $store }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
