"""Every route that there is refuses who has no key of this server, and a route that does not is found by the walk that says so."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import psutil
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from wyoming.event import Event, async_read_event, async_write_event

from benchmarks.served import ROOT, Served, free_port, serve
from open_speech.api.realtime.secrets import PATHS, Grant
from open_speech.api.wyoming import messages
from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.server import WyomingServer, serving
from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.security.network import networks
from runners.wiring.engine import local_engine
from runners.wiring.wyoming_service import service_of
from tests.fuzz.walking import FOREIGN, METHODS, OPEN, paths_of, walk
from tests.waiting import PATIENCE_S


@pytest.fixture
def settings(tones_settings: Settings) -> Settings:
    return tones_settings.model_copy(update={"os_api_key": "sesame"})


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings, local_engine(settings))


# -- the application


def test_no_route_answers_who_has_no_key_of_this_server(app: FastAPI) -> None:
    assert {
        "/v1/realtime",
        "/v1/audio/stream",
        "/v1/audio/transcriptions/stream",
        "/metrics",
        "/v1/audio/jobs/x/events",
        "/api/pull/x",
        "/web/x",
    } <= paths_of(app)
    assert len(paths_of(app)) > 50
    assert walk(app) == []


@pytest.mark.parametrize(("root_path", "prefix"), [("", "/openai"), ("/speech", "/speech"), ("/speech", "/speech/openai")])
def test_no_route_answers_under_another_prefix(settings: Settings, app: FastAPI, root_path: str, prefix: str) -> None:
    chosen = settings.model_copy(update={"os_root_path": root_path})
    paths = {f"{prefix}{path}" for path in paths_of(app)}
    allowed = {*OPEN, *(f"{prefix}{path}" for path in OPEN if prefix == root_path), root_path}
    assert walk(create_app(chosen, local_engine(chosen)), {"no key": {}}, allowed, paths) == []


def test_the_short_list_holds_nothing_that_is_not_there(app: FastAPI) -> None:
    with TestClient(app) as client:
        missing = {path for path in OPEN if client.get(path).status_code == 404}
    assert missing - {"/docs/scalar", "/docs/scalar/api-reference.js"} == {"/web/x"}  # Scalar is an extra


def test_an_ephemeral_key_opens_its_own_path_and_no_other(app: FastAPI) -> None:
    value, _ = app.state.realtime_secrets.issue(Grant("realtime", "", {}, app.state.settings.keys.keys[0]))
    faults = walk(app, {"an ephemeral key": {"Authorization": f"Bearer {value}"}})
    assert PATHS["realtime"] == {"/v1/realtime", "/v1/realtime/calls"}
    assert [fault for fault in faults if fault.split()[1] not in PATHS["realtime"]] == []
    assert "WebSocket /v1/realtime with an ephemeral key: opened" in faults
    # By plain HTTP it only learns that a WebSocket is wanted, and whether calls are accepted; an empty offer is refused.
    assert {fault.rpartition(" ")[2] for fault in faults if fault.startswith(METHODS)} <= {"200", "400", "405", "426", "501", "503"}


# -- the walk finds what is not guarded


async def told(request: Request) -> PlainTextResponse:
    return PlainTextResponse("secret")


async def talked(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def in_the_open_folder(app: FastAPI) -> Any:
    app.router.routes.insert(0, Route("/web/debug", told))
    return app


def in_a_router(app: FastAPI) -> Any:
    router = APIRouter(prefix="/web/tools")
    router.add_api_route("/{name}/log", told, methods=["POST"])
    app.include_router(router)
    app.router.routes.insert(0, app.router.routes.pop())
    return app


def around_the_key(app: FastAPI) -> Any:
    return Starlette(routes=[Route("/debug", told, methods=["DELETE"]), Mount("/", app)])


def as_a_websocket_around_the_key(app: FastAPI) -> Any:
    return Starlette(routes=[WebSocketRoute("/live", talked), Mount("/", app)])


def as_a_folder_around_the_key(app: FastAPI) -> Any:
    return Starlette(routes=[Mount("/files", StaticFiles(directory=ROOT / "web")), Mount("/", app)])


def as_an_application_around_the_key(app: FastAPI) -> Any:
    return Starlette(routes=[Mount("/inner", Starlette(routes=[Route("/debug", told)])), Mount("/", app)])


@pytest.mark.parametrize(
    ("add", "fault"),
    [
        (in_the_open_folder, "GET /web/debug with no key: 200"),
        (in_a_router, "POST /web/tools/x/log with no key: 200"),
        (around_the_key, "DELETE /debug with a wrong key: 200"),
        (as_a_websocket_around_the_key, "WebSocket /live with no key: opened"),
        (as_a_folder_around_the_key, "GET /files/x with no key: 404"),
        (as_an_application_around_the_key, "GET /inner/debug with a key of another server: 200"),
    ],
)
def test_a_route_that_is_added_without_a_guard_is_found(app: FastAPI, add: Callable[[FastAPI], Any], fault: str) -> None:
    name = re.search(r" with (.*):", fault)
    assert name is not None
    assert fault in walk(add(app), {name[1]: FOREIGN[name[1]]})


def test_a_server_without_keys_is_found_open(tones_settings: Settings) -> None:
    found = walk(create_app(tones_settings, local_engine(tones_settings)), {"no key": {}})
    assert "GET /v1/models with no key: 200" in found


# -- what BentoML adds


@pytest.fixture(scope="module")
def bento(tones: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The walk over `service.py` as BentoML serves it, in a process of its own, as the service is made when it is imported."""
    folder = tmp_path_factory.mktemp("bento")
    ours = {"OS_API_KEY": "sesame", "OS_WYOMING_ENABLED": "true", "HOME": str(folder), "BENTOML_HOME": str(folder / "bentoml")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "STT_", "TTS_", "BENTOML_"))}
    environ = {**kept, **tones, **ours, "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-m", "tests.fuzz.walking"]
    shown = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert shown.returncode == 0, shown.stderr[-3000:]
    return json.loads(shown.stdout[shown.stdout.index('{"faults"') :])


def test_bentomls_own_routes_answer_nobody_without_a_key(bento: Any) -> None:
    assert {"/schema.json", "/docs.json", "/static_content/x", "/livez"} <= set(bento["own"])
    assert {"/v1/models", "/metrics", "/v1/realtime"} <= set(bento["ours"])
    assert bento["faults"] == []


def test_the_routes_of_runners_and_of_the_wyoming_process_are_these(bento: Any) -> None:
    """They ask for no key: that nobody else reaches their sockets is what protects them, below and in tests/test_deploy.py."""
    probes = {"/livez", "/healthz", "/readyz", "/schema.json"}
    runner = {"/load_model", "/unload_model", "/pull_model", "/remove_model", "/kept_models", "/status"} | probes
    assert {name: set(paths) for name, paths in bento["beside"].items()} == {
        "tones_stt": runner | {"/transcribe", "/hear"}, "tones_tts": runner | {"/synthesize"}, "wyoming_door": {"/figures"} | probes,
    }  # fmt: skip


# -- the sockets of runners


@pytest.fixture(scope="module")
def running(tones: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    library = str(tmp_path_factory.mktemp("library"))
    with serve({**tones, "OS_API_KEY": "sesame", "OS_VOICE_LIBRARY_PATH": library}) as served:
        yield served


@pytest.mark.served
def test_the_sockets_of_runners_lie_where_no_other_user_reaches_them(running: Served) -> None:
    found = {one.laddr for process in running.processes() for one in process.net_connections("unix") if one.laddr}
    sockets = [Path(str(address)) for address in found if str(address).startswith("/") and Path(str(address)).is_socket()]
    assert len(sockets) >= 2
    assert [path for path in sockets if not is_private(path)] == []


def is_private(path: Path) -> bool:
    """Whether the socket, or a folder above it, is closed to everybody but this user."""
    return any(place.stat().st_uid == os.getuid() and not place.stat().st_mode & 0o077 for place in (path, *path.parents))


@pytest.mark.served
def test_no_runner_listens_on_the_network(running: Served) -> None:
    port = int(running.url.rpartition(":")[2])
    runners = [psutil.Process(running.pid_of(name)) for name in ("tones_stt", "tones_tts")]
    listening = [one.laddr.port for process in runners for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN]
    assert [found for found in listening if found != port] == []


# -- Wyoming


def test_wyoming_answers_no_event_of_a_host_that_may_not_connect(settings: Settings) -> None:
    async def answers() -> dict[str, list[str]]:
        port, found = free_port(), {}
        admission = ConnectionLimit(networks(["192.0.2.0/24"]))
        async with serving(WyomingServer(f"tcp://127.0.0.1:{port}"), admission, service_of(local_engine(settings), settings)):
            for name in event_types():
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                await async_write_event(Event(name), writer)
                async with asyncio.timeout(PATIENCE_S):
                    told = []
                    while (event := await async_read_event(reader)) is not None:
                        told.append(f"{event.type} {event.data.get('text', '')}")
                found[name] = told
                writer.close()
        return found

    told = asyncio.run(answers())
    assert len(told) >= 10
    assert {name: events for name, events in told.items() if len(events) != 1 or "OS_WYOMING_ALLOWED_HOSTS" not in events[0]} == {}


def event_types() -> list[str]:
    """Name every event that a Wyoming client may send here."""
    names = [re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower() for kind in get_args(messages.ClientEvent)]
    assert all(kind.is_type(name) for kind, name in zip(get_args(messages.ClientEvent), names, strict=True))
    return names
