{{/* Stops with a sentence at values that are valid alone, but not together. */}}
{{- define "reasoning.check" -}}
{{- range $option, $value := dict
      "listen" "the chart"
      "admin_listen" "the chart"
      "health_listen" "the chart"
      "workers" "workers"
      "allow_insecure" "allowInsecure"
      "tls_certificate" "tls.secret"
      "tls_key" "tls.secret"
      "tls_client_ca" "tls.clientCA"
      "pause_keys_file" "pauseKeys"
      "drain_delay_seconds" "drain.delaySeconds"
      "grace_seconds" "drain.graceSeconds" }}
{{- if regexMatch (printf `(?m)^[ \t]*%s[ \t]*=` $option) $.Values.config }}
{{- fail (printf "config: %s is set by %s, not here" $option (eq $value "the chart" | ternary $value (printf "the value %s" $value))) }}
{{- end }}
{{- end }}
{{- $names := list }}
{{- range include "reasoning.ownEnvironment" . | fromYamlArray }}
{{- $names = append $names .name }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if has .name $names }}
{{- fail (printf "extraEnv: %s is set already" .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- if and .Values.tls.clientCA.secret (not .Values.tls.secret) }}
{{- fail "tls.clientCA.secret: needs tls.secret, because only a server with TLS asks for certificates" }}
{{- end }}
{{- if and .Values.envoy.enabled .Values.tls.clientCA.secret }}
{{- fail "envoy.enabled: Envoy ends TLS, so callers cannot be known by certificates; use tokens, and leave out tls.clientCA" }}
{{- end }}
{{- if and .Values.envoy.enabled .Values.tls.secret (not .Values.tls.serverName) }}
{{- fail "tls.serverName: is needed with envoy.enabled and tls.secret; it is a name in the certificate" }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if and .enabled (lt (int .maxReplicas) (int .minReplicas)) }}
{{- fail "autoscaling.maxReplicas: is less than autoscaling.minReplicas" }}
{{- end }}
{{- if and .enabled (not .callsInFlight) (not .cpuPercent) }}
{{- fail "autoscaling.enabled: needs callsInFlight or cpuPercent" }}
{{- end }}
{{- end }}
{{- end -}}
