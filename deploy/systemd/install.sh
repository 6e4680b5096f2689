#!/usr/bin/env bash
# Install the server as a systemd service, from this checkout. Running it again changes only what differs. docs/deploy.md describes it.
# shellcheck source=deploy/systemd/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
    cat <<'TEXT'
usage: sudo deploy/systemd/install.sh [options]

  --extras LIST   extras of the package, separated by commas (default: embedded)
  --runner NAME   also a backend with an environment of its own: qwen, senko, xtts; may be repeated
  --python PATH   the Python of the environments (default: python3)
  --no-start      install, but do not enable and start the services
  --files-only    units and settings without the Python environments
  --root DIR      install below DIR, for an image or a package; DESTDIR does the same; nothing is started
  --dry-run       print what would be done
TEXT
}

# Settings are written once and never changed: they are the administrator's.
settings() {
    if [ -e "$ROOT$ETC/settings" ]; then
        say "= $ETC/settings, which is yours"
        return 0
    fi
    local key
    key=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
    put 600 "$ETC/settings" <<<"OS_API_KEY=$key"
}

options "$@"
remembered
EXTRAS=${EXTRAS:-embedded}
folder 700 "$ETC"
settings
packages
files
if [ -n "$START" ]; then
    run systemctl daemon-reload
    for name in ${RUNNERS[@]+"${RUNNERS[@]}"}; do run systemctl enable --now "open-speech-runner@$name"; done
    run systemctl enable --now open-speech
fi
say "Settings, with the API key: $ETC/settings. Log: journalctl -u open-speech. Check: curl http://127.0.0.1:8100/readyz"
for name in ${RUNNERS[@]+"${RUNNERS[@]}"}; do
    say "To use $name, add it to STT_BACKENDS, TTS_BACKENDS or STT_DIARIZE_BACKENDS in $ETC/settings: $name@http://127.0.0.1:$(port_of "$name")"
done
