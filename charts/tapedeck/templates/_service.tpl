{{- /* A Deployment of the recorder or the gateway: migrated schema and topics first, then the workload. `folders` maps
folders below /etc/tapedeck to the Secrets that are mounted there. `account` is the ServiceAccount whose token the workload
has, and not its init container. */}}
{{- define "tapedeck.deployment" -}}
{{- $context := dict "root" .root "name" .name }}
{{- $values := get .root.Values .name }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "tapedeck.fullname" .root }}-{{ .name }}
  labels: {{- include "tapedeck.labels" $context | nindent 4 }}
spec:
  replicas: {{ $values.replicas }}
  selector:
    matchLabels: {{- include "tapedeck.selector" $context | nindent 6 }}
  template:
    metadata:
      labels: {{- include "tapedeck.selector" $context | nindent 8 }}
      annotations:
        # migrate alters users and roles when it starts: a changed password of any of them starts it again.
        checksum/connections: {{ include (print .root.Template.BasePath "/connections.yaml") .root | sha256sum }}
        checksum/users: {{ include (print .root.Template.BasePath "/kafka-users.yaml") .root | sha256sum }}
        checksum/account: {{ include "tapedeck.accountChecksum" .root }}
    spec:
      {{- with .account }}
      serviceAccountName: {{ . }}
      {{- end }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 30
      securityContext: {{- include "tapedeck.podSecurity" .root | nindent 8 }}
      {{- include "tapedeck.pullSecrets" .root | nindent 6 }}
      {{- include "tapedeck.placement" $values | nindent 6 }}
      initContainers:
        - name: migrate
          image: {{ include "tapedeck.image" (dict "root" .root "name" "recorder") }}
          imagePullPolicy: {{ .root.Values.images.pullPolicy }}
          command: [python, -m, tapedeck_maintenance.migrate]
          env:
            - { name: TAPEDECK_CONNECTIONS, value: /etc/tapedeck/connections }
            - { name: TAPEDECK_ROLES, value: /etc/tapedeck/roles }
            {{- if include "tapedeck.makesRoles" .root }}
            - { name: TAPEDECK_MAKE_ROLES, value: "true" }
            {{- end }}
            - { name: TAPEDECK_REPLICATION, value: {{ .root.Values.kafka.topics.replication | int64 | quote }} }
            {{- with .root.Values.kafka.topics.retentionHours }}
            - { name: TAPEDECK_RETENTION_HOURS, value: {{ . | toJson | quote }} }
            {{- end }}
            {{- with .root.Values.store.retention.days }}
            - { name: TAPEDECK_RETENTION_DAYS, value: {{ . | toJson | quote }} }
            {{- end }}
            {{- if include "tapedeck.grants" .root }}
            - { name: TAPEDECK_KAFKA_USERS, value: {{ include "tapedeck.kafkaUsers" .root | quote }} }
            {{- end }}
            {{- if include "tapedeck.createsUsers" .root }}
            - { name: TAPEDECK_KAFKA_PASSWORDS, value: /etc/tapedeck/kafka-users }
            {{- end }}
          resources: {{- toYaml .root.Values.recorder.resources | nindent 12 }}
          securityContext: {{- include "tapedeck.containerSecurity" .root | nindent 12 }}
          volumeMounts:
            - { name: migrate-connections, mountPath: /etc/tapedeck/connections, readOnly: true }
            - { name: roles, mountPath: /etc/tapedeck/roles, readOnly: true }
            {{- if include "tapedeck.createsUsers" .root }}
            - { name: kafka-users, mountPath: /etc/tapedeck/kafka-users, readOnly: true }
            {{- end }}
            - { name: tmp, mountPath: /tmp }
      containers:
        - name: {{ .name }}
          image: {{ include "tapedeck.image" $context }}
          imagePullPolicy: {{ .root.Values.images.pullPolicy }}
          env:
            - { name: TAPEDECK_NAME, value: {{ .name }} }
            - { name: TAPEDECK_NAMESPACE, valueFrom: { fieldRef: { fieldPath: metadata.namespace } } }
            - { name: TAPEDECK_HTTP_HOST, value: 0.0.0.0 }
            - { name: TAPEDECK_HTTP_PORT, value: "8080" }
            - { name: TAPEDECK_CONNECTIONS, value: /etc/tapedeck/connections }
            - { name: TAPEDECK_TERMINATION_LOG, value: /dev/termination-log }
            - { name: TAPEDECK_LOG_LEVEL, value: {{ $values.logLevel }} }
            {{- with .root.Values.tracing.endpoint }}
            - { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }} }
            - { name: OTEL_TRACES_SAMPLER, value: parentbased_traceidratio }
            - { name: OTEL_TRACES_SAMPLER_ARG, value: {{ $.root.Values.tracing.sampleRatio | quote }} }
            {{- end }}
            {{- range $variable, $value := .env }}
            - { name: {{ $variable }}, value: {{ $value | quote }} }
            {{- end }}
            {{- with .spec }}
            - { name: TAPEDECK_SPEC, value: {{ . | toJson | quote }} }
            {{- end }}
          ports:
            - { name: http, containerPort: 8080 }
          livenessProbe:
            httpGet: { path: /healthz, port: http{{ with .scheme }}, scheme: {{ . }}{{ end }} }
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: { path: /readyz, port: http{{ with .scheme }}, scheme: {{ . }}{{ end }} }
            periodSeconds: 2
          resources: {{- toYaml $values.resources | nindent 12 }}
          securityContext: {{- include "tapedeck.containerSecurity" .root | nindent 12 }}
          volumeMounts:
            - { name: connections, mountPath: /etc/tapedeck/connections, readOnly: true }
            {{- if .keys }}
            - { name: key, mountPath: /etc/tapedeck/key, readOnly: true }
            {{- end }}
            {{- range $folder, $_ := .folders }}
            - { name: {{ replace "/" "-" $folder }}, mountPath: /etc/tapedeck/{{ $folder }}, readOnly: true }
            {{- end }}
            {{- if .account }}
            - { name: resource-api, mountPath: /etc/tapedeck/resource-api, readOnly: true }
            {{- end }}
            - { name: tmp, mountPath: /tmp }
      volumes:
        - name: connections
          {{- include "tapedeck.connections" (dict "workload" .name) | nindent 10 }}
        - name: migrate-connections
          {{- include "tapedeck.connections" (dict "workload" "migrate") | nindent 10 }}
        - name: roles
          projected:
            sources:
              - secret:
                  name: tapedeck-connections
                  items:
                    {{- range list "feed" "replay" "transform" "backtest" "gateway" "recorder" }}
                    - { key: {{ . }}.store_dsn, path: {{ . }} }
                    {{- end }}
              {{- if include "tapedeck.readsStore" .root }}
              - secret:
                  name: {{ include "tapedeck.storeSecret" .root }}
                  items:
                    - { key: username, path: dashboards/username }
                    - { key: password, path: dashboards/password }
              {{- end }}
        {{- if include "tapedeck.createsUsers" .root }}
        - { name: kafka-users, secret: { secretName: tapedeck-kafka-users } }
        {{- end }}
        {{- with .keys }}
        - name: key
          secret:
            secretName: {{ include "tapedeck.keySecret" $.root }}
            items:
              {{- range . }}
              - { key: {{ . }}, path: {{ . }} }
              {{- end }}
        {{- end }}
        {{- range $folder, $secret := .folders }}
        - { name: {{ replace "/" "-" $folder }}, secret: { secretName: {{ $secret }}, defaultMode: 0440 } }
        {{- end }}
        {{- if .account }}
        - name: resource-api
          projected:
            defaultMode: 0440
            sources:
              - serviceAccountToken: { path: token, expirationSeconds: 3600 }
              - configMap: { name: kube-root-ca.crt, items: [{ key: ca.crt, path: ca.crt }] }
        {{- end }}
        - name: tmp
          {{- include "tapedeck.scratch" $values.resources | nindent 10 }}
{{- end }}
