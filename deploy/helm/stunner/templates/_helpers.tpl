{{/* Namespace of everything that is not said to be elsewhere. */}}
{{- define "stunner.namespace" -}}
{{- .Values.namespace | default .Release.Namespace -}}
{{- end -}}

{{/* Whether dataplanes are run by the user. */}}
{{- define "stunner.legacy" -}}
{{- if eq .Values.stunnerGatewayOperator.dataplane.mode "legacy" -}}true{{- end -}}
{{- end -}}

{{/* The authentication service of legacy mode reads a ConfigMap, and therefore runs beside it. */}}
{{- define "stunner.authNamespace" -}}
{{- if include "stunner.legacy" . -}}
{{- .Values.legacyDataplane.namespace -}}
{{- else -}}
{{- include "stunner.namespace" . -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object. Names and namespaces do not depend on the release, so its name is only a label. */}}
{{- define "stunner.labels" -}}
app.kubernetes.io/part-of: stunner
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "stunner.operatorName" -}}stunner-gateway-operator-controller-manager{{- end -}}

{{/* An image: (list ROOT NAME IMAGE-VALUES). */}}
{{- define "stunner.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 2 -}}
{{- $name := $image.name | default (printf "%s/%s" (trimSuffix "/" $root.Values.imageRegistry) (index . 1)) -}}
{{- printf "%s:%s" $name ($image.tag | default $root.Values.imageTag | default $root.Chart.AppVersion) -}}
{{- end -}}

{{/* Image and pull policy of dataplanes. */}}
{{- define "stunner.dataplaneImage" -}}
{{- .Values.stunnerGatewayOperator.dataplane.spec.image | default (include "stunner.image" (list . "stunnerd" dict)) -}}
{{- end -}}
{{- define "stunner.dataplanePullPolicy" -}}
{{- .Values.stunnerGatewayOperator.dataplane.spec.imagePullPolicy | default .Values.imagePullPolicy -}}
{{- end -}}

{{/* Where the pods of a deployment may run, and with what: (list ROOT DEPLOYMENT-VALUES). */}}
{{- define "stunner.podSettings" -}}
{{- $root := index . 0 -}}
{{- $deployment := index . 1 -}}
{{- with $deployment.imagePullSecrets | default $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $key := list "securityContext" "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
{{- with index $deployment $key }}
{{ $key }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with $deployment.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* The security context of dataplane pods. A pod on the host's network may not set sysctls of a network. */}}
{{- define "stunner.dataplaneSecurityContext" -}}
{{- $spec := .Values.stunnerGatewayOperator.dataplane.spec -}}
{{- $context := $spec.securityContext -}}
{{- if $spec.hostNetwork }}{{- $context = omit $context "sysctls" }}{{- end -}}
{{- toYaml $context -}}
{{- end -}}
