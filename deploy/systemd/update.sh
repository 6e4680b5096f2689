#!/usr/bin/env bash
# Bring an installation of install.sh to the version of this checkout, and restart what runs. Settings stay. docs/deploy.md describes it.
# shellcheck source=deploy/systemd/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
    cat <<'TEXT'
usage: git pull && sudo deploy/systemd/update.sh [options]

  --extras LIST   replace the extras that install.sh was given
  --no-start      do not restart the services
  --files-only    units without the Python environments
  --root DIR      the installation below DIR; nothing is restarted
  --dry-run       print what would be done
TEXT
}

options "$@"
remembered
[ -e "$ROOT$ETC/installation" ] || fail "there is no installation at $ROOT/: run deploy/systemd/install.sh first"
packages
files
if [ -n "$START" ]; then
    run systemctl daemon-reload
    # The runners first: the server finds them ready. try-restart leaves alone what does not run.
    for name in ${RUNNERS[@]+"${RUNNERS[@]}"}; do run systemctl try-restart "open-speech-runner@$name"; done
    run systemctl try-restart open-speech
fi
