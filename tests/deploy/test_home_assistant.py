"""The app for Home Assistant in deploy/home-assistant/: its schema, what its options do, ingress, and the announcement of Wyoming."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socketserver
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from open_speech import __version__, config
from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.engine import Engine
from runners.wiring.wyoming_gateway import dependency
from tests.deploy.app_schema import config_errors, option_errors, translation_errors
from tests.manifests import read
from tests.tones_app import engine, settings

__all__ = ["engine", "settings"]

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "home-assistant"
APP = read(FOLDER / "config.yaml")
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
SUPERVISOR_ADDRESS = "172.30.32.2"


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("open_speech_home_assistant_run", FOLDER / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run = _script()


def loaded(**options: Any) -> Settings:
    """The settings of the server for options of the app."""
    chosen = {**APP["options"], **options}
    assert list(option_errors(chosen, APP["schema"])) == []
    return config.load({**APP["environment"], "OS_API_KEY": "a-key", **run.settings_of(chosen)})


# -- the schema


def test_the_app_follows_the_schema_of_the_supervisor() -> None:
    assert config_errors(APP) == []
    for language in ("en", "de"):
        assert translation_errors(read(FOLDER / "translations" / f"{language}.yaml"), APP) == []


@pytest.mark.parametrize(
    "change",
    [
        {"arch": ["amd64", "armv7"]}, {"ingress_port": 70000}, {"timeout": 5}, {"watchdog": "http://localhost:8100/livez"},
        {"ports": {"8100/http": 8100}}, {"environment": {"OS_PORT": 8100}}, {"schema": {"key": "string"}}, {"unknown": 1},
        {"options": {**APP["options"], "log_level": "loud"}}, {"options": {}}, {"discovery": "wyoming"}, {"ingress": "yes"},
    ],
    ids=str,
)  # fmt: skip
def test_the_check_finds_what_the_supervisor_would_refuse(change: dict[str, Any]) -> None:
    assert config_errors({**APP, **change}) != []


def test_one_version_and_one_image_are_named() -> None:
    assert APP["version"] == __version__
    assert f"open-speech:{__version__}\n" in DOCKERFILE
    assert f'io.hass.version="{__version__}"' in DOCKERFILE
    assert re.findall(r'io.hass.arch="(.*)"', DOCKERFILE) == ["|".join(sorted(APP["arch"]))]


def test_the_ports_are_those_of_the_server_and_closed() -> None:
    found = loaded()
    assert APP["ports"] == {f"{found.os_port}/tcp": None, f"{found.os_wyoming_port}/tcp": None}
    assert APP["ingress_port"] == found.os_port
    assert f"[PORT:{found.os_port}]" in APP["watchdog"]
    assert APP["timeout"] >= found.os_stop_timeout_s + 10


# -- options


def test_every_option_does_something_and_none_is_for_nothing() -> None:
    assert set(run.AS_IT_IS) | {"preload", "wyoming_hosts", "settings"} == set(APP["schema"])
    assert {setting for setting in run.AS_IT_IS.values() if setting not in config.names()} == set()


def test_the_defaults_are_those_of_the_server() -> None:
    found, usual = loaded(), Settings()
    for name in ("stt_model", "tts_voice", "os_model_ttl", "os_log_level", "stt_backends", "tts_backends", "tts_model"):
        assert getattr(found, name) == getattr(usual, name)


def test_options_become_settings() -> None:
    found = loaded(api_key="sesame", stt_backends="moonshine", stt_model="moonshine/tiny", language="de", offline=True, model_ttl_s=0)
    assert (found.os_api_key, found.stt_backends, found.stt_model) == ("sesame", ("moonshine",), "moonshine/tiny")
    assert (found.os_wyoming_languages, found.os_offline, found.os_model_ttl) == (("de",), True, 0)
    assert loaded(preload=True).stt_preload_models == ("whisper-1",)
    other = loaded(settings=[{"name": "STT_VAD_THRESHOLD", "value": "0.4"}, {"name": "OS_LOG_LEVEL", "value": "debug"}], log_level="error")
    assert (other.stt_vad_threshold, other.os_log_level) == (0.4, "debug")
    with pytest.raises(config.SettingsError, match="OS_NO_SUCH"):
        loaded(settings=[{"name": "OS_NO_SUCH", "value": "1"}])


def test_wyoming_serves_home_assistant_and_whom_the_user_names() -> None:
    assert loaded().os_wyoming_allowed_hosts == ("127.0.0.1", "172.30.32.0/23")
    assert loaded(wyoming_hosts=["192.168.1.0/24", "fd00::1"]).os_wyoming_allowed_hosts[2:] == ("192.168.1.0/24", "fd00::1")
    assert list(option_errors({**APP["options"], "wyoming_hosts": ["nas.lan"]}, APP["schema"])) != []
    assert "wyoming_door" in dependency(loaded(), {})


# -- ingress


def test_ingress_serves_the_page_without_a_key_and_nobody_else_gets_in(settings: Settings, engine: Engine) -> None:
    app_settings = loaded()
    ours = settings.model_copy(update={name: getattr(app_settings, name) for name in (
        "os_api_key", "os_auth_proxies", "os_trusted_proxies", "os_host", "os_ssl_enabled",
    )})  # fmt: skip
    app = create_app(ours, engine)
    # The Supervisor removes the path of ingress, and passes on the headers of the browser with these.
    headers = {"host": "homeassistant.local:8123", "x-forwarded-for": "192.168.1.7, 172.30.32.1", "x-ingress-path": "/api/hassio_ingress/t"}
    with TestClient(app, client=(SUPERVISOR_ADDRESS, 1)) as proxied:
        page = proxied.get(f"/{APP['ingress_entry']}", headers=headers)
        assert (page.status_code, "<title>" in page.text) == (200, True)
        assert proxied.get("/v1/models", headers=headers).status_code == 200
        spoken = proxied.post(
            "/v1/audio/speech", json={"input": "Hello."}, headers={**headers, "origin": "http://homeassistant.local:8123"}
        )
        assert spoken.status_code == 200
        assert (
            proxied.post("/v1/audio/speech", json={"input": "Hi."}, headers={**headers, "origin": "https://evil.example"}).status_code
            == 401
        )
    neighbour = TestClient(app, client=("172.30.33.5", 1))
    assert neighbour.get("/v1/models", headers={**headers, "x-forwarded-for": SUPERVISOR_ADDRESS}).status_code == 401
    with pytest.raises(WebSocketDenialResponse), neighbour.websocket_connect("/v1/realtime", headers=headers):
        raise AssertionError("it let us in")


def test_the_page_has_no_absolute_address_that_the_path_of_ingress_would_break() -> None:
    web = FOLDER.parent.parent / "web"
    for file in [*web.glob("*.html"), *web.glob("css/*"), *web.glob("js/*.js")]:
        assert re.findall(r"""(?:href|src)="/|url\(/|fetch\(["'`]/|from ["']/""", file.read_text(encoding="utf-8")) == [], file.name


# -- the start


def test_a_key_is_made_once_and_only_root_may_read_it(tmp_path: Path) -> None:
    made = run.own_key(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{48}", made)
    assert run.own_key(tmp_path) == made
    assert stat.S_IMODE((tmp_path / "api-key").stat().st_mode) == 0o600


def test_the_folders_of_the_server_are_its_users(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    restored = tmp_path / "models" / "some" / "model.bin"
    restored.parent.mkdir(parents=True)
    restored.write_bytes(b"1")
    user = run.USER if os.getuid() == 0 else os.getuid()
    run.prepare(tmp_path, user)
    assert {path.stat().st_uid for path in (tmp_path / "home", tmp_path / "models", restored)} == {user}
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o711


class _Wyoming(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        self.wfile.write(json.dumps({"type": "info" if asked["type"] == "describe" else "error"}).encode() + b"\n")


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    """Run a server in a thread; the value is its port."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def supervisor(status: int, received: list[tuple[str, str | None, Any]]) -> ThreadingHTTPServer:
    class Discovery(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append((self.path, self.headers["Authorization"], body))
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Discovery)


def test_wyoming_is_announced_when_it_answers() -> None:
    received: list[tuple[str, str | None, Any]] = []
    waits: list[bool] = []
    with serving(supervisor(200, received)) as http, serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Wyoming)) as wyoming:
        said = run.announce_when_ready(
            lambda: len(waits) == 2 and run.answers(wyoming),  # its process takes a while to start
            lambda: run.announce(f"http://127.0.0.1:{http}", "token", 10400, "local-open-speech"),
            lambda: not waits.append(True),  # type: ignore[func-returns-value]
        )
    assert len(waits) == 2
    assert "is announced" in said
    assert received == [
        ("/discovery", "Bearer token", {"service": "wyoming", "config": {"uri": "tcp://local-open-speech:10400"}})
    ]  # fmt: skip
    assert APP["discovery"] == ["wyoming"]


def test_what_goes_wrong_with_the_announcement_is_said_and_stops_nothing() -> None:
    received: list[tuple[str, str | None, Any]] = []
    with serving(supervisor(403, received)) as http:
        said = run.announce_when_ready(lambda: True, lambda: run.announce(f"http://127.0.0.1:{http}", "t", 1, "h"), lambda: True)
    assert "403" in said
    assert not run.answers(1)
    assert "did not answer" in run.announce_when_ready(lambda: False, lambda: None, lambda: False)
