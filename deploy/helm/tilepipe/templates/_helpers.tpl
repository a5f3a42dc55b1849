{{- define "tilepipe.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "tilepipe.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "tilepipe.labels" -}}
{{ include "tilepipe.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "tilepipe.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "tilepipe.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tilepipe.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "tilepipe.storeSecret" -}}
{{- if .Values.store.existingSecret }}{{ .Values.store.existingSecret }}{{ else }}{{ include "tilepipe.name" . }}-store{{ end }}
{{- end }}

{{- define "tilepipe.storeUrl" -}}
{{- if .Values.mongodb.enabled -}}
mongodb://tilepipe:{{ .Values.mongodb.password }}@{{ include "tilepipe.name" . }}-mongodb/tilepipe?authSource=admin
{{- else -}}
{{ .Values.store.url }}
{{- end }}
{{- end }}

{{- define "tilepipe.settings" -}}
{{- $paths := dig "fence" "input_roots" list .Values.settings }}
{{- range .Values.inputs }}{{ $paths = append $paths .mountPath }}{{ end }}
{{- $worker := dict "drain_s" .Values.worker.drainSeconds }}
{{- if .Values.gateway.address }}
{{- $cluster := dict "kind" "gateway" "address" .Values.gateway.address "auth" .Values.gateway.auth "workers" .Values.gateway.workers }}
{{- if .Values.gateway.options }}{{ $_ := set $cluster "options" .Values.gateway.options }}{{ end }}
{{- $worker = merge $worker (dict "executor" "dask" "cluster" $cluster) }}
{{- end }}
{{- $server := dict "host" "0.0.0.0" "port" .Values.hub.port }}
{{- if .Values.ingress.enabled }}
{{- $_ := set $server "base_url" (printf "%s://%s" (ternary "https" "http" (ne .Values.ingress.tlsSecret "")) .Values.ingress.host) }}
{{- end }}
{{- $folders := dict "outputs" "/var/lib/tilepipe/outputs" "uploads" "/var/lib/tilepipe/uploads" }}
{{- $ours := dict "server" $server "folders" $folders "fence" (dict "input_roots" $paths) "worker" $worker "log" (dict "format" "json") }}
{{- $said := mergeOverwrite $ours (deepCopy .Values.settings) }}
{{- $_ := set $said.fence "input_roots" ($paths | uniq) }}
{{- toYaml $said }}
{{- end }}

{{- define "tilepipe.environment" -}}
- name: TILEPIPE_HUB_CONFIG
  value: /etc/tilepipe/hub.yaml
- name: TILEPIPE_HUB_STORE__URL
  valueFrom: {secretKeyRef: {name: {{ include "tilepipe.storeSecret" . }}, key: url}}
{{- if or .Values.auth.tokens .Values.auth.existingSecret }}
- name: TILEPIPE_HUB_AUTH__TOKENS
  valueFrom: {secretKeyRef: {name: {{ .Values.auth.existingSecret | default (printf "%s-auth" (include "tilepipe.name" .)) }}, key: tokens}}
{{- end }}
{{- end }}

{{- define "tilepipe.mounts" -}}
- {name: settings, mountPath: /etc/tilepipe, readOnly: true}
- {name: outputs, mountPath: /var/lib/tilepipe}
- {name: tmp, mountPath: /tmp}
{{- range .Values.inputs }}
- {name: {{ .name }}, mountPath: {{ .mountPath }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "tilepipe.volumes" -}}
- name: settings
  configMap: {name: {{ include "tilepipe.name" . }}}
- name: outputs
  persistentVolumeClaim: {claimName: {{ .Values.outputs.existingClaim | default (printf "%s-outputs" (include "tilepipe.name" .)) }}}
- name: tmp
  emptyDir: {}
{{- range .Values.inputs }}
- name: {{ .name }}
  persistentVolumeClaim: {claimName: {{ .claim }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "tilepipe.aliveFile" -}}
/tmp/worker-alive
{{- end }}

{{- /* Minutes for what takes seconds, and no Python: to end a worker that is merely slow would cost its jobs. */}}
{{- define "tilepipe.aliveCheck" -}}
command: [sh, -c, 'test -n "$(find {{ include "tilepipe.aliveFile" . }} -mmin -3)"']
{{- end }}

{{- define "tilepipe.placing" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
