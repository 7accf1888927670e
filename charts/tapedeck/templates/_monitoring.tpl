{{- /* What observes the release. With monitoring.enabled Prometheus and Grafana are part of it, and all of `metrics` is on. */}}

{{- define "tapedeck.podMonitor" -}}
{{- if or .Values.monitoring.enabled .Values.metrics.podMonitor.enabled }}true{{ end }}
{{- end }}

{{- define "tapedeck.serviceMonitor" -}}
{{- if or .Values.monitoring.enabled .Values.metrics.serviceMonitor.enabled }}true{{ end }}
{{- end }}

{{- define "tapedeck.dashboards" -}}
{{- if or .Values.monitoring.enabled .Values.metrics.dashboards.enabled }}true{{ end }}
{{- end }}

{{- define "tapedeck.dataSources" -}}
{{- if or .Values.monitoring.enabled .Values.metrics.dataSources.enabled }}true{{ end }}
{{- end }}

{{- define "tapedeck.alerts" -}}
{{- if or .Values.monitoring.enabled .Values.metrics.alerts.enabled }}true{{ end }}
{{- end }}

{{- define "tapedeck.storeExporter" -}}
{{- if or .Values.monitoring.enabled .Values.metrics.storeExporter.enabled }}true{{ end }}
{{- end }}

{{- /* Whether something reads the store with the role `dashboards`. */}}
{{- define "tapedeck.readsStore" -}}
{{- if or (include "tapedeck.dataSources" .) (include "tapedeck.storeExporter" .) }}true{{ end }}
{{- end }}

{{- /* The Secret with `username` and `password` of that role. */}}
{{- define "tapedeck.storeSecret" -}}
{{ .Values.metrics.existingStoreSecret | default (printf "%s-dashboards" (include "tapedeck.fullname" .)) }}
{{- end }}

{{- /* What the release's own Secret has of that role. Without a password nothing could read the store. */}}
{{- define "tapedeck.storeAccount" -}}
{{- $role := include "tapedeck.role" (dict "root" . "workload" "dashboards") }}
{{- $password := include "tapedeck.password" (dict "root" . "role" $role) }}
{{- if not $password }}
{{- fail (printf "store.roles.%s.password: got nothing, expected the password with which Grafana and the exporter read the store, because of metrics.dataSources and metrics.storeExporter. Set it, or metrics.existingStoreSecret to a Secret with username and password" $role) }}
{{- end }}
{{- $username := (get .Values.store.roles $role).username | default (printf "tapedeck_%s" $role) }}
{{- dict "username" $username "password" $password | toYaml }}
{{- end }}

{{- /* Changes with what the release's own Secret has, so that pods with it start again; of an existing one Helm knows nothing. */}}
{{- define "tapedeck.accountChecksum" -}}
{{- $account := "" }}
{{- if and (include "tapedeck.readsStore" .) (not .Values.metrics.existingStoreSecret) }}{{ $account = include "tapedeck.storeAccount" . }}{{ end }}
{{- printf "%s%s" $account .Values.store.ca | sha256sum }}
{{- end }}

{{- /* The sslmode of Grafana and of the exporter, whose drivers know no `prefer`. The chart's own database has no certificate. */}}
{{- define "tapedeck.storeSslMode" -}}
{{- if .Values.metrics.storeSslMode }}{{ .Values.metrics.storeSslMode }}
{{- else if ne .Values.store.sslMode "prefer" }}{{ .Values.store.sslMode }}
{{- else if include "tapedeck.bundledStore" . }}disable
{{- else }}require
{{- end }}
{{- end }}

{{- /* The pods of the Prometheus and of the Grafana that are part of the release: lists of peers, as charts/monitoring names them. */}}
{{- define "tapedeck.prometheusPods" -}}
{{- if .Values.monitoring.enabled }}
- namespaceSelector: {{ include "tapedeck.ownNamespace" . | nindent 4 }}
  podSelector: { matchLabels: { app.kubernetes.io/name: prometheus, operator.prometheus.io/name: tapedeck-monitoring-prometheus } }
{{- end }}
{{- end }}

{{- define "tapedeck.grafanaPods" -}}
{{- if .Values.monitoring.enabled }}
- namespaceSelector: {{ include "tapedeck.ownNamespace" . | nindent 4 }}
  podSelector: { matchLabels: { app.kubernetes.io/name: grafana, app.kubernetes.io/instance: {{ .Release.Name }} } }
{{- end }}
{{- end }}

{{- /* Who may scrape: the Prometheus of the release, and the peers of networkPolicies.metricsFrom. Fails where monitors are
       made and nobody may: Prometheus would find the pods and reach none. */}}
{{- define "tapedeck.metricsFrom" -}}
{{- $peers := concat (include "tapedeck.prometheusPods" . | fromYamlArray) .Values.networkPolicies.metricsFrom }}
{{- if and .Values.networkPolicies.enabled (empty $peers) }}
{{- if include "tapedeck.podMonitor" . }}
{{- fail "networkPolicies.metricsFrom: got nothing, expected the pods of Prometheus, because of metrics.podMonitor.enabled: the policies would shut it out. Set it to [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: <namespace of Prometheus>}}}]" }}
{{- end }}
{{- if and (include "tapedeck.serviceMonitor" .) .Values.networkPolicies.gatewayFrom }}
{{- fail "networkPolicies.metricsFrom: got nothing, expected the pods of Prometheus, because of metrics.serviceMonitor.enabled: networkPolicies.gatewayFrom would shut it out" }}
{{- end }}
{{- end }}
{{- with $peers }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- /* Fails where alerts are made and Prometheus would find nothing: those about what is missing would fire for ever. */}}
{{- define "tapedeck.scraped" -}}
{{- if not (include "tapedeck.podMonitor" .) }}
{{- fail "metrics.podMonitor.enabled: got false, expected true, because of metrics.alerts.enabled: Prometheus would find no pod, and TapedeckOperatorDown and TapedeckRecorderDown would fire for ever. Set it, or load files/alerts.yaml into a Prometheus that finds the pods by itself" }}
{{- end }}
{{- if and (gt (int .Values.gateway.replicas) 0) (not (include "tapedeck.serviceMonitor" .)) }}
{{- fail "metrics.serviceMonitor.enabled: got false, expected true, because of metrics.alerts.enabled: Prometheus would not find the gateway, and TapedeckGatewayDown would fire for ever. Set it, or load files/alerts.yaml into a Prometheus that finds the pods by itself" }}
{{- end }}
{{- end }}

{{- /* Labels of an object that Prometheus or Grafana finds by them. */}}
{{- define "tapedeck.foundBy" -}}
{{- merge (deepCopy .labels) (include "tapedeck.labels" (dict "root" .root "name" .name) | fromYaml) | toYaml }}
{{- end }}
