"""Start the server as an app of Home Assistant: options become settings, and Wyoming is announced when it answers.

It starts as root, because the Supervisor's /data and options.json are root's, and continues as the image's own user. It needs the standard
library alone.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import stat
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

DATA = Path("/data")
USER = 1034
SUPERVISOR = "http://supervisor"
INTERNAL = "172.30.32.0/23"
"""The network of the Supervisor, Home Assistant and the apps. Source: DOCKER_NETWORK_MASK of the Supervisor."""
TOKEN = "SUPERVISOR_TOKEN"
DESCRIBE = b'{"type": "describe"}\n'
WYOMING_PATIENCE_S = 1800.0
"""The first start downloads weights before Wyoming answers."""
TRIES_EVERY_S = 2.0

AS_IT_IS = {
    "api_key": "OS_API_KEY", "stt_model": "STT_MODEL", "stt_backends": "STT_BACKENDS", "tts_model": "TTS_MODEL",
    "tts_voice": "TTS_VOICE", "tts_backends": "TTS_BACKENDS", "language": "OS_WYOMING_LANGUAGES", "model_ttl_s": "OS_MODEL_TTL",
    "offline": "OS_OFFLINE", "log_level": "OS_LOG_LEVEL",
}  # fmt: skip
"""Options whose value is that of a setting."""


def settings_of(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings for the options of the app, all but the API key of a user who has set none. `settings` come last and win."""
    found = {setting: _text(options[name]) for name, setting in AS_IT_IS.items() if options.get(name) not in (None, "")}
    if options.get("preload"):
        found["STT_PRELOAD_MODELS"] = "whisper-1"
        found["TTS_PRELOAD_MODELS"] = "tts-1"
    found["OS_WYOMING_ALLOWED_HOSTS"] = ",".join(["127.0.0.1", INTERNAL, *filter(None, options.get("wyoming_hosts", ()))])
    return found | {row["name"]: row["value"] for row in options.get("settings", ())}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def own_key(folder: Path) -> str:
    """Return the API key of an installation whose user has set none; it is made at the first start, and only root may read its file."""
    file = folder / "api-key"
    if not file.is_file():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as made:
            made.write(secrets.token_hex(24))
    return file.read_text(encoding="ascii").strip()


def prepare(folder: Path, user: int) -> None:
    """Create the folders that the server writes, and give them to its user, with what a backup has restored as root's."""
    for name in ("models", "home"):
        (folder / name).mkdir(exist_ok=True)
        for path in (folder / name, *(folder / name).rglob("*")):
            if path.lstat().st_uid != user:
                os.lchown(path, user, user)
    folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o011)  # the user passes through, and lists nothing


def announce(supervisor: str, token: str, port: int, host: str) -> None:
    """Report the Wyoming server to Home Assistant. Raises OSError if the Supervisor does not accept it."""
    body = json.dumps({"service": "wyoming", "config": {"uri": f"tcp://{host}:{port}"}}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{supervisor}/discovery", body, headers), timeout=30) as answer:
        answer.read()


def answers(port: int) -> bool:
    """Return whether a Wyoming server describes itself on a port of this container."""
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as connection, connection.makefile("rwb") as stream:
            stream.write(DESCRIBE)
            stream.flush()
            return bool(json.loads(stream.readline())["type"] == "info")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def announce_when_ready(ready: Callable[[], bool], report: Callable[[], None], pause: Callable[[], bool]) -> str:
    """Wait until the server is ready, report it, and return what to log. `pause` waits, and returns False when the time is up."""
    while not ready():
        if not pause():
            return "The Wyoming server did not answer: it is not announced to Home Assistant."
    try:
        report()
    except (urllib.error.URLError, OSError) as error:
        return f"Home Assistant did not accept the announcement of the Wyoming server: {error}"
    return "The Wyoming server is announced to Home Assistant."


def _announcer(port: int, token: str) -> None:
    """Announce the server from a process of its own, so that the server never has the token of the Supervisor."""
    if os.fork():
        return
    ends = time.monotonic() + WYOMING_PATIENCE_S

    def pause() -> bool:
        time.sleep(TRIES_EVERY_S)
        return time.monotonic() < ends

    _drop(USER)
    said = announce_when_ready(lambda: answers(port), lambda: announce(SUPERVISOR, token, port, socket.gethostname()), pause)
    sys.stderr.write(said + "\n")
    sys.stderr.flush()
    os._exit(0)


def _drop(user: int) -> None:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def main() -> None:
    """Become the server."""
    options = json.loads((DATA / "options.json").read_text(encoding="utf-8"))
    settings = settings_of(options)
    if not settings.get("OS_API_KEY"):
        settings["OS_API_KEY"] = own_key(DATA)
    prepare(DATA, USER)
    environ = {**os.environ, **settings, "HOME": str(DATA / "home")}  # noqa: TID251 - it stands alone, before the server
    token = environ.pop(TOKEN, "")
    environ.pop("HASSIO_TOKEN", None)
    if token and environ["OS_WYOMING_ENABLED"] == "true":
        _announcer(int(environ["OS_WYOMING_PORT"]), token)
    _drop(USER)
    os.execve("/app/.venv/bin/open-speech", ["open-speech", "serve"], environ)


if __name__ == "__main__":
    main()
