# shellcheck shell=bash
# Options and steps of install.sh and update.sh. Each step prints what it does, and does nothing with --dry-run.
set -Eeuo pipefail
umask 022  # the services run as another user and must be able to read what is installed

SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
ROOT=${DESTDIR:-}
PREFIX=/opt/open-speech
ETC=/etc/open-speech
UNITS=/etc/systemd/system
PYTHON=${PYTHON:-python3}
DRY_RUN=
START=yes
PACKAGES=yes
EXTRAS=
RUNNERS=()

fail() { echo "${0##*/}: $*" >&2; exit 1; }
say() { echo "$*"; }

# Run a command; with --dry-run only print it.
run() {
    echo "+ $*"
    [ -n "$DRY_RUN" ] || "$@"
}

check_choices() {
    [[ $EXTRAS =~ ^[a-z0-9,-]*$ ]] || fail "--extras is a list such as embedded,vosk, not $EXTRAS"
    local name
    for name in ${RUNNERS[@]+"${RUNNERS[@]}"}; do
        [[ $name =~ ^[a-z_]+$ ]] && [ -f "$SOURCE/runners/$name-requirements.txt" ] \
            || fail "$name has no environment of its own: there is no runners/$name-requirements.txt"
    done
}

options() {
    while [ $# -gt 0 ]; do
        case $1 in
            --root) [ $# -gt 1 ] || fail "--root needs a folder"; ROOT=$2; shift ;;
            --extras) [ $# -gt 1 ] || fail "--extras needs a list such as embedded,vosk"; EXTRAS=$2; shift ;;
            --runner) [ $# -gt 1 ] || fail "--runner needs the name of a backend"; RUNNERS+=("$2"); shift ;;
            --python) [ $# -gt 1 ] || fail "--python needs a path"; PYTHON=$2; shift ;;
            --no-start) START= ;;
            --files-only) PACKAGES= ;;
            --dry-run) DRY_RUN=yes ;;
            -h | --help) usage; exit 0 ;;
            *) usage >&2; fail "unknown option $1" ;;
        esac
        shift
    done
    ROOT=${ROOT%/}
    [ -z "$ROOT" ] || [ "${ROOT#/}" != "$ROOT" ] || fail "--root needs an absolute path, not $ROOT"
    [ -z "$ROOT" ] || START=  # the systemd of this machine does not run what lies below another root
    check_choices
    if [ -z "$ROOT$DRY_RUN" ]; then
        [ "$(id -u)" = 0 ] || fail "run as root, or with --dry-run or --root DIR"
        [ -z "$START" ] || [ -d /run/systemd/system ] || fail "systemd does not run here: add --no-start, or use deploy/compose.yaml"
    fi
    if [ -n "$PACKAGES" ]; then
        "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
            || fail "Open Speech needs Python 3.11 or newer. Name one: --python /path/to/python3.12"
    fi
}

# Read what install.sh was told: the extras and the runners. The file is data and is never sourced.
remembered() {
    local name value
    [ -r "$ROOT$ETC/installation" ] || return 0
    while IFS='=' read -r name value; do
        case $name in
            EXTRAS) [ -n "$EXTRAS" ] || EXTRAS=$value ;;
            RUNNERS) [ ${#RUNNERS[@]} -gt 0 ] || read -ra RUNNERS <<<"$value" ;;
        esac
    done <"$ROOT$ETC/installation"
    check_choices
}

remember() {
    put 600 "$ETC/installation" <<<"EXTRAS=$EXTRAS
RUNNERS=${RUNNERS[*]-}"
}

# Write stdin to a file, unless the file has this content and mode already: put MODE FILE.
put() {
    local mode=$1 file=$2 content
    content=$(cat)
    if [ -f "$ROOT$file" ] && [ "$(cat "$ROOT$file")" = "$content" ] && [ "$(stat -c %a "$ROOT$file")" = "$mode" ]; then
        say "= $file"
        return 0
    fi
    say "+ write $file ($mode)"
    [ -n "$DRY_RUN" ] || install -D -m "$mode" /dev/stdin "$ROOT$file" <<<"$content"
}

folder() {
    local mode=$1 path=$2
    if [ -d "$ROOT$path" ] && [ "$(stat -c %a "$ROOT$path")" = "$mode" ]; then
        say "= $path"
    else
        run install -d -m "$mode" "$ROOT$path"
    fi
}

# Create a virtual environment, or complete one that has no pip: environment FOLDER.
environment() {
    [ -x "$ROOT$1/bin/pip" ] && say "= $1" && return 0
    run "$PYTHON" -m venv "$ROOT$1"
}

pip_of() {
    local where=$1
    shift
    run "$ROOT$where/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    # Scripts name their Python, and editable packages their folder: below another root, these would be paths of this machine.
    if [ -n "$ROOT" ] && [ -z "$DRY_RUN" ]; then
        find "$ROOT$where/bin" "$ROOT$where"/lib/python3*/site-packages -maxdepth 1 -type f \
            \( -path '*/bin/*' -o -name '*.pth' -o -name '__editable__*' \) -exec sed -i "s|$ROOT$where|$where|g" {} +
    fi
}

server_packages() {
    environment "$PREFIX"
    pip_of "$PREFIX" -c "$SOURCE/constraints.txt" "$SOURCE${EXTRAS:+[$EXTRAS]}"
}

# A backend with an environment of its own, and a copy of the source, which the unit can read where home folders are hidden.
runner_packages() {
    local name=$1 where=$PREFIX-$1
    environment "$where"
    run rm -rf "$ROOT$where/src"
    run install -d -m 755 "$ROOT$where/src"
    run cp -rT "$SOURCE/open_speech" "$ROOT$where/src/open_speech"
    run cp -rT "$SOURCE/runners" "$ROOT$where/src/runners"
    run cp -rT "$SOURCE/web" "$ROOT$where/src/web"
    run cp "$SOURCE/pyproject.toml" "$SOURCE/README.md" "$SOURCE/LICENSE" "$SOURCE/service.py" "$ROOT$where/src/"
    if [ -n "$DRY_RUN" ]; then
        pip_of "$where" -r "runners/$name-requirements.txt"
    else
        (cd "$ROOT$where/src" && pip_of "$where" -r "runners/$name-requirements.txt")
    fi
}

runner_files() {
    local name=$1
    put 644 "$UNITS/open-speech-runner@$name.service.d/environment.conf" <<<"[Service]
WorkingDirectory=$PREFIX-$name/src
ExecStart=
ExecStart=$PREFIX-$name/bin/bentoml serve runners.$name:Runner"
    if [ -e "$ROOT$ETC/runner-$name" ]; then
        say "= $ETC/runner-$name, which is yours"
    else
        put 600 "$ETC/runner-$name" <<<"BENTOML_PORT=$(port_of "$name")"
    fi
}

# The port in the Makefile, where docs and `make runner` have it from.
port_of() {
    local port
    port=$(sed -n "s/^PORT_$1 := //p" "$SOURCE/Makefile")
    echo "${port:-3160}"
}

unit_files() {
    local unit
    for unit in "$SOURCE"/deploy/systemd/*.service; do
        put 644 "$UNITS/${unit##*/}" <"$unit"
    done
}

packages() {
    local name
    [ -n "$PACKAGES" ] || return 0
    server_packages
    for name in ${RUNNERS[@]+"${RUNNERS[@]}"}; do runner_packages "$name"; done
}

files() {
    local name
    unit_files
    for name in ${RUNNERS[@]+"${RUNNERS[@]}"}; do runner_files "$name"; done
    remember
}
