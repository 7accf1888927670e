{{- /* The users of the broker. The chart's own broker requires SASL, unless its values disable that. */}}
{{- define "tapedeck.bundledSasl" -}}
{{- if and (include "tapedeck.bundledBroker" .) (dig "redpanda" "auth" "sasl" "enabled" true .Values.broker) }}true{{ end }}
{{- end }}

{{- define "tapedeck.createsUsers" -}}
{{- if or .Values.kafka.createUsers (include "tapedeck.bundledSasl" .) }}true{{ end }}
{{- end }}

{{- define "tapedeck.grants" -}}
{{- if or .Values.kafka.grant (include "tapedeck.createsUsers" .) }}true{{ end }}
{{- end }}

{{- define "tapedeck.kafkaProtocol" -}}
{{- if include "tapedeck.bundledSasl" . }}SASL_PLAINTEXT{{ else }}{{ .Values.kafka.securityProtocol }}{{ end }}
{{- end }}

{{- define "tapedeck.kafkaMechanism" -}}
{{- if include "tapedeck.bundledSasl" . }}SCRAM-SHA-512{{ else }}{{ .Values.kafka.saslMechanism }}{{ end }}
{{- end }}

{{- /* The name of a workload's user; of that in a further namespace, if .namespace is given. */}}
{{- define "tapedeck.kafkaUser" -}}
{{- $creates := include "tapedeck.createsUsers" .root }}
{{- if and .namespace $creates }}tapedeck-{{ .workload }}.{{ .namespace }}
{{- else if and (eq .workload "migrate") (include "tapedeck.bundledSasl" .root) }}tapedeck-migrate
{{- else }}{{ (get .root.Values.kafka.users .workload).username | default (ternary (printf "tapedeck-%s" .workload) "" (not (empty $creates))) }}
{{- end }}
{{- end }}

{{- /* The password of that user: the value, else the one that was made before, else a new one. */}}
{{- define "tapedeck.kafkaPassword" -}}
{{- $bundled := include "tapedeck.bundledSasl" .root }}
{{- $given := (get .root.Values.kafka.users .workload).password }}
{{- $own := and .namespace (include "tapedeck.createsUsers" .root) }}
{{- $made := and (include "tapedeck.createsUsers" .root) (or $bundled (ne .workload "migrate")) }}
{{- if and $given (not $own) }}{{ $given }}
{{- else if $made }}
{{- $admin := eq .workload "migrate" }}
{{- $key := ternary "password" (ternary (printf "%s.%s" .workload .namespace) .workload (not (empty .namespace))) $admin }}
{{- $secret := ternary "tapedeck-broker-admin" "tapedeck-kafka-users" $admin }}
{{- $kept := dig "data" $key "" (lookup "v1" "Secret" .root.Release.Namespace $secret | default dict) }}
{{- if $kept }}{{ $kept | b64dec }}
{{- else }}
{{- /* the same within one rendering */}}
{{- $memory := printf "%s-made" $key }}
{{- if not (hasKey .root.Values.kafka.users $memory) }}{{ $_ := set .root.Values.kafka.users $memory (randAlphaNum 32) }}{{ end }}
{{- get .root.Values.kafka.users $memory }}
{{- end }}
{{- end }}
{{- end }}

{{- /* All users but the one of migrate, which gives them rights: a list of workload, name and namespace. */}}
{{- define "tapedeck.kafkaUsers" -}}
{{- $users := list }}
{{- range $workload := list "feed" "replay" "transform" "backtest" "recorder" "gateway" }}
{{- $name := include "tapedeck.kafkaUser" (dict "root" $ "workload" $workload) | required (printf "kafka.users.%s.username: got nothing, expected the user that kafka.grant is to give rights to" $workload) }}
{{- $users = append $users (dict "workload" $workload "name" $name) }}
{{- end }}
{{- if include "tapedeck.createsUsers" . }}
{{- range $namespace, $workloads := .Values.connections.namespaces }}
{{- range $workload := $workloads }}
{{- $name := include "tapedeck.kafkaUser" (dict "root" $ "workload" $workload "namespace" $namespace) }}
{{- $users = append $users (dict "workload" $workload "name" $name "namespace" $namespace) }}
{{- end }}
{{- end }}
{{- end }}
{{- $users | toJson }}
{{- end }}
