{{/* Returns Envoy's files: its configuration, the secrets that it reads again when they change, and what drains it. */}}
{{- define "reasoning.envoyFiles" -}}
{{- $host := printf "%s-headless.%s.svc.%s" (include "reasoning.fullname" .) .Release.Namespace .Values.envoy.clusterDomain -}}
{{- $heap := div (mul (int64 .Values.envoy.memoryMiB) 1048576 3) 4 -}}
{{- $any := ternary "::" "0.0.0.0" (eq .Values.ipFamily "IPv6") -}}
{{- $file := ternary "files/envoy-tls.yaml" "files/envoy.yaml" (ne .Values.tls.secret "") -}}
envoy.yaml: |
  {{- .Files.Get $file | trim
      | replace "@servers@" $host
      | replace "@heap_bytes@" (toString $heap)
      | replace "@any_address@" $any
      | replace "@server_name@" .Values.tls.serverName
      | nindent 2 }}
drain.sh: |
  {{- .Files.Get "files/envoy-drain.sh" | trim | nindent 2 }}
{{- if .Values.tls.secret }}
certificate.yaml: |
  {{- .Files.Get "files/envoy-certificate.yaml" | trim | nindent 2 }}
authorities.yaml: |
  {{- .Files.Get "files/envoy-authorities.yaml" | trim | nindent 2 }}
{{- end }}
{{- end -}}
