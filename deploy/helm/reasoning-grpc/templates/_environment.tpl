{{/* Returns the variables that the chart gives to the server. The options here win over those of reasoning.toml. */}}
{{- define "reasoning.ownEnvironment" -}}
{{- $six := eq .Values.ipFamily "IPv6" -}}
{{- $any := ternary "[::]" "0.0.0.0" $six -}}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: REASONING_CONFIG
  value: /etc/reasoning-grpc/config/reasoning.toml
- name: REASONING_LISTEN
  value: {{ printf "%s:50051" $any | quote }}
- name: REASONING_HEALTH_LISTEN
  value: {{ ternary "[$(POD_IP)]:50052" "$(POD_IP):50052" $six | quote }}
- name: REASONING_ADMIN_LISTEN
  value: {{ printf "%s:9464" $any | quote }}
- name: REASONING_WORKERS
  value: {{ .Values.workers | int | quote }}
- name: REASONING_ALLOW_INSECURE
  value: {{ .Values.allowInsecure | quote }}
- name: REASONING_DRAIN_DELAY_SECONDS
  value: {{ .Values.drain.delaySeconds | int | quote }}
- name: REASONING_GRACE_SECONDS
  value: {{ .Values.drain.graceSeconds | int | quote }}
{{- with .Values.tls }}
{{- if .secret }}
- name: REASONING_TLS_CERTIFICATE
  value: /etc/reasoning-grpc/tls/tls.crt
- name: REASONING_TLS_KEY
  value: /etc/reasoning-grpc/tls/tls.key
{{- end }}
{{- if .clientCA.secret }}
- name: REASONING_TLS_CLIENT_CA
  value: /etc/reasoning-grpc/client-ca/ca.crt
{{- end }}
{{- end }}
{{- if .Values.pauseKeys.secret }}
- name: REASONING_PAUSE_KEYS_FILE
  value: /etc/reasoning-grpc/pause-keys/pause-keys
{{- end }}
{{- with .Values.litellmProxy }}
{{- if .url }}
- name: LITELLM_BASE_URL
  value: {{ .url | quote }}
{{- with .keySecret }}
{{- if .name }}
- name: LITELLM_API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .name | quote }}
      key: {{ .key | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.otlp.endpoint }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ printf "k8s.namespace.name=%s,k8s.pod.name=$(POD_NAME)" $.Release.Namespace | quote }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Returns the environment of the server's container. */}}
{{- define "reasoning.environment" -}}
{{- include "reasoning.ownEnvironment" . -}}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Returns the annotations of the server's pods; a checksum makes new pods of a new configuration. */}}
{{- define "reasoning.podAnnotations" -}}
{{- $own := dict "kubectl.kubernetes.io/default-container" "server" -}}
{{- if .Values.restartOnConfigChange -}}
{{- if not .Values.existingConfigMap -}}
{{- $own = set $own "checksum/config" (sha256sum .Values.config) -}}
{{- end -}}
{{- with .Values.secretEnv -}}
{{- $own = set $own "checksum/secret-env" (toJson . | sha256sum) -}}
{{- end -}}
{{- end -}}
{{- toYaml (merge $own .Values.podAnnotations) -}}
{{- end -}}
