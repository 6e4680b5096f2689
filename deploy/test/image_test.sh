#!/usr/bin/env bash
# Builds the CPU image, runs it as its users should (not root, nothing writable, no capability), and has it transcribe and speak.
#   make image-test                  the docker, podman or buildah that is here
#   make image-test ENGINE=podman
# IMAGE=name tests an image that is there already. MODELS=folder: weights, read-only in the container; else the models folder of this user.
# KEEP=1 leaves containers and $WORK as they are. Where no registry can be reached, standin.sh says what is done instead.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

ENGINE=${ENGINE:-podman}
WORK=${WORK:-$(mktemp -d "${TMPDIR:-/tmp}/open-speech-image.XXXXXX")}
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/open-speech/image-test}
MODELS=${MODELS:-$HOME/.cache/open-speech/models}
BASE=docker.io/library/python:3.11-slim
LIMIT_MB=1500
PYTHON=.venv/bin/python
RUN=${ENGINE/buildah/podman} # buildah builds; podman runs what it has built
# As deploy/compose.yaml has it.
HARDENED=(--read-only --tmpfs /tmp --tmpfs /data:mode=1777 --cap-drop ALL --security-opt no-new-privileges --pids-limit 512)
source deploy/test/standin.sh

[ -d "$MODELS" ] || { echo "no weights in $MODELS: run 'open-speech models pull'" >&2; exit 1; }
step() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }
port() { "$PYTHON" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

STANDIN=0
clean() {
    local code=$?
    if [ $code = 0 ]; then echo "IMAGE TEST PASSED in $SECONDS s"; else echo "IMAGE TEST FAILED"; fi
    [ "${KEEP:-0}" = 1 ] && { echo "files kept in $WORK"; return; }
    "$RUN" rm -f open-speech-test-wyoming open-speech-test-server >/dev/null 2>&1 || true
    if [ $STANDIN = 1 ]; then standin_clean; fi
    rm -rf --one-file-system "$WORK"
}
trap clean EXIT

# Any answer will do: the registry wants to know who asks.
if ! curl -s -m 10 -o /dev/null https://registry-1.docker.io/v2/; then
    step "no registry: an engine of its own in $WORK, and a base image from Debian packages"
    STANDIN=1
    standin_engine
    standin_base "$BASE"
fi

if [ -z "${IMAGE:-}" ]; then
    step "make image"
    IMAGE=open-speech:test
    make --no-print-directory image ENGINE="$ENGINE" IMAGE="$IMAGE" BENTOML_HOME="$WORK/bentoml"
fi
size_mb=$(($("$RUN" image inspect --format '{{.Size}}' "$IMAGE") / 1000000))
echo "size: $size_mb MB without weights"
[ $size_mb -lt $LIMIT_MB ]

# Published on the loopback address; in the stand-in by a network of the container's own that takes no rules in the kernel.
network=$([ $STANDIN = 1 ] && echo slirp4netns || echo bridge)
http=$(port) wyoming=$(port) alone=$(port)
mkdir -p -m 777 "$WORK/tls"
check() { "$PYTHON" deploy/test/check.py "$@"; }

step "the server: HTTPS by its own certificate, and Wyoming beside it"
"$RUN" run -d --name open-speech-test-server "${HARDENED[@]}" --network "$network" \
    -p "127.0.0.1:$http:8100" -p "127.0.0.1:$wyoming:10400" -p "127.0.0.1:$alone:10300" -v "$MODELS:/models:ro" -v "$WORK/tls:/tls" \
    -e OS_OFFLINE=true -e OS_API_KEY=sesame -e OS_SSL_DIR=/tls -e OS_WYOMING_ENABLED=true -e OS_WYOMING_ALLOWED_HOSTS=0.0.0.0/0,::/0 "$IMAGE" >/dev/null
trust=(--key sesame --trust "$WORK/tls/certificate.pem")
check http "127.0.0.1:$http" "${trust[@]}" || { "$RUN" logs --tail 60 open-speech-test-server; exit 1; }
check wyoming "127.0.0.1:$wyoming"
"$RUN" exec open-speech-test-server healthcheck
[ "$("$RUN" exec open-speech-test-server id -u)" = 1034 ]
if "$RUN" exec open-speech-test-server touch /app/src/new 2>/dev/null; then echo "the root file system is writable"; exit 1; fi

step "a runner is killed: it comes back, and the container stays"
"$RUN" exec open-speech-test-server python -c "
import psutil
found = [p for p in psutil.process_iter(['cmdline']) if 'faster_whisper' in (p.info['cmdline'] or [])]
for process in found: process.kill()
print('killed', *(p.pid for p in found)) if found else exit('no runner of that name')"
check http "127.0.0.1:$http" "${trust[@]}"

step "a second container of the image: Wyoming alone, before the first"
"$RUN" run -d --name open-speech-test-wyoming "${HARDENED[@]}" --network container:open-speech-test-server -v "$WORK/tls/certificate.pem:/trusted.pem:ro" \
    -e SSL_CERT_FILE=/trusted.pem -e STT_OPENAI_KEY=sesame -e TTS_OPENAI_KEY=sesame \
    "$IMAGE" wyoming --upstream https://127.0.0.1:8100/v1 >/dev/null
check wyoming "127.0.0.1:$alone" || { "$RUN" logs --tail 60 open-speech-test-wyoming; exit 1; }
"$RUN" exec open-speech-test-wyoming healthcheck tcp://127.0.0.1:10300

step "both are told to stop, and do"
for container in open-speech-test-wyoming open-speech-test-server; do
    began=$SECONDS
    "$RUN" stop -t 40 "$container" >/dev/null
    code=$("$RUN" inspect --format '{{.State.ExitCode}}' "$container")
    echo "$container: $((SECONDS - began)) s, exit code $code"
    [ "$code" = 0 ]
done

# In place of the two: the same image by the compose file, with weights in a volume of its own.
step "deploy/compose.yaml"
case $ENGINE in
    docker) COMPOSE="docker compose" ;;
    *) python3 -m venv "$WORK/compose" && "$WORK/compose/bin/pip" install -q podman-compose 2>/dev/null && COMPOSE=$WORK/compose/bin/podman-compose ;;
esac
export COMPOSE WORK RUN MODELS IMAGE OS_PORT=$http OS_WYOMING_PORT=$wyoming
# The network that compose makes takes rules in the kernel: without a registry to reach, those of a network of this test alone.
if [ $STANDIN = 1 ]; then unshare -n -m deploy/test/compose_test.sh; else deploy/test/compose_test.sh; fi
