{{/* Returns the chart's name, which the label app.kubernetes.io/name has. */}}
{{- define "reasoning.name" -}}
{{- default .Chart.Name .Values.nameOverride -}}
{{- end -}}

{{/* Returns the name of the Deployment and of the plain Service: that of the release, with the chart's name in it. The
names of other objects add up to 12 characters, and those of Services have at most 63. */}}
{{- define "reasoning.fullname" -}}
{{- $name := include "reasoning.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Returns the labels of an object of a component: called with (list $ "server"), or with further labels as the third
of the list. No label stands there twice, and the chart's own win. */}}
{{- define "reasoning.labels" -}}
{{- $root := index . 0 -}}
{{- $own := dict
      "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63)
      "app.kubernetes.io/version" $root.Chart.AppVersion
      "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $further := gt (len .) 2 | ternary (last .) dict -}}
{{- toYaml (merge $own (include "reasoning.selector" . | fromYaml) $further $root.Values.labels) -}}
{{- end -}}

{{/* Returns the labels of a component's pods: called like reasoning.labels. A new version of the chart changes none. */}}
{{- define "reasoning.podLabels" -}}
{{- $further := gt (len .) 2 | ternary (last .) dict -}}
{{- toYaml (merge (include "reasoning.selector" . | fromYaml) $further (index . 0).Values.labels) -}}
{{- end -}}

{{/* Returns the labels by which the pods of a component are found; they never change. */}}
{{- define "reasoning.selector" -}}
app.kubernetes.io/name: {{ include "reasoning.name" (index . 0) | quote }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Returns an image by its digest, or by its tag: called with (list image tag). */}}
{{- define "reasoning.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default (index . 1) $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Returns the name of the pods' account. */}}
{{- define "reasoning.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "reasoning.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Returns the name of the ConfigMap with reasoning.toml. */}}
{{- define "reasoning.configMapName" -}}
{{- default (include "reasoning.fullname" .) .Values.existingConfigMap -}}
{{- end -}}
