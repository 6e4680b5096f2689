#!/usr/bin/env bash
# Called by image_test.sh: starts deploy/compose.yaml as a project of another name, has it transcribe and speak, and takes it down again.
set -Eeuo pipefail
PROJECT=open-speech-test
export OPEN_SPEECH_IMAGE=$IMAGE OS_API_KEY=sesame OS_WYOMING_ENABLED=true OS_WYOMING_ALLOWED_HOSTS=0.0.0.0/0,::/0
compose() { $COMPOSE -p $PROJECT -f deploy/compose.yaml "$@"; }
trap 'compose down -v >/dev/null 2>&1' EXIT

ip link set lo up 2>/dev/null || true # in a network namespace of its own it is down
"$RUN" volume create ${PROJECT}_models >/dev/null
"$RUN" run --rm --user 0 -v ${PROJECT}_models:/models -v "$MODELS:/from:ro" --entrypoint sh "$IMAGE" \
    -c 'cp -r /from/. /models && chown -R 1034:1034 /models'
compose up -d >"$WORK/compose.log" 2>&1 || { cat "$WORK/compose.log"; exit 1; }
server=$("$RUN" ps -q --filter "label=com.docker.compose.project=$PROJECT")
.venv/bin/python deploy/test/check.py http "127.0.0.1:$OS_PORT" --key sesame || { "$RUN" logs --tail 60 "$server"; exit 1; }
.venv/bin/python deploy/test/check.py wyoming "127.0.0.1:$OS_WYOMING_PORT"
"$RUN" exec "$server" sh -c 'grep -q "^CapEff:.0000000000000000$" /proc/1/status && ! touch /app/x 2>/dev/null && test -w /data -a -w /models -a -w /tmp'
echo "no capabilities; only /data, /models and /tmp are writable"
