{{- define "open-speech.labels" -}}
app.kubernetes.io/part-of: open-speech
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Labels by which a component's pods are selected: (dict "root" $ "name" "front"). */}}
{{- define "open-speech.selector" -}}
app.kubernetes.io/name: open-speech-{{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "open-speech.name" -}}
{{ printf "%s-%s" .root.Release.Name .name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The image: that of the runner, or else the chart's. */}}
{{- define "open-speech.image" -}}
{{- $own := default dict .own -}}
{{ default .root.Values.image.repository $own.repository }}:{{ default (default .root.Chart.AppVersion .root.Values.image.tag) $own.tag }}
{{- end }}

{{/* The backends of a task, as the front calls them. */}}
{{- define "open-speech.backends" -}}
{{- $found := list -}}
{{- range $name, $runner := .root.Values.runners -}}
{{- if and $runner.enabled (eq $runner.task $.task) -}}
{{- $found = append $found (printf "%s@http://%s:3000" $name (include "open-speech.name" (dict "root" $.root "name" $name))) -}}
{{- end -}}
{{- end -}}
{{ join "," $found }}
{{- end }}

{{- define "open-speech.secret" -}}
{{ default (printf "%s-key" .Release.Name) .Values.apiKey.existingSecret }}
{{- end }}

{{/* What every pod has: no rights, no token, and a user of its own. */}}
{{- define "open-speech.pod" -}}
automountServiceAccountToken: false
# Kubernetes would put a variable for each service of the namespace into the pod, and a name that begins as our settings do ends the start.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 1034
  runAsGroup: 1034
  fsGroup: 1034
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - {name: {{ . | quote }}}
  {{- end }}
{{- end }}
{{- end }}

{{- define "open-speech.container" -}}
startupProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
lifecycle:
  # The services forget the pod while it still takes what comes.
  preStop: {exec: {command: [sleep, {{ .Values.preStopSeconds | quote }}]}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* A volume: (dict "name" "models" "claim" "release-models" "storage" values). */}}
{{- define "open-speech.volume" -}}
- name: {{ .name }}
  {{- if .storage.emptyDir }}
  emptyDir: {}
  {{- else }}
  persistentVolumeClaim: {claimName: {{ default .claim .storage.existingClaim }}}
  {{- end }}
{{- end }}

{{- define "open-speech.placement" -}}
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
