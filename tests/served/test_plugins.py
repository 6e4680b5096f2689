"""Backends of other packages beside the server: one that is installed with pip and used by every API, and one that cannot be imported."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect
from wyoming.audio import AudioChunk
from wyoming.client import AsyncClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize, SynthesizeVoice

from benchmarks.served import Served, free_port, serve
from open_speech.audio import Audio, from_pcm16
from open_speech.codecs import decode
from tests.plugin_packages import ESPEAK, ROOT, install_broken, install_speaker, needs_espeak, pip_install, python
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.served, needs_espeak]

TEXT = "This voice comes from another package."
PLACED = {
    "STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "tones-tts,espeak,broken", "STT_MODEL": "tones/listen", "TTS_MODEL": "tones/speak",
    "TTS_VOICE": "tone", "OS_OFFLINE": "true",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example, a package that raises when it is imported, and one with a backend and a model whose names are ours.

    Its models folder has a model index with a damaged record.
    """
    folder = tmp_path_factory.mktemp("packages")
    pip_install(folder, ESPEAK, tmp_path_factory.mktemp("scratch"))
    install_broken(folder, "acme-broken", name="broken")
    install_speaker(folder, "acme-speech", name="kokoro", model="acme/ann")
    record = folder / "models/.indexes/acme/accepted.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def beside(folder: Path) -> Iterator[tuple[Served, str]]:
    """A server with these packages, and the address of its Wyoming server."""
    port = free_port()
    path = os.pathsep.join([str(ROOT), str(folder)])
    models = {"OS_MODELS_DIR": str(folder / "models")}
    with serve(PLACED | models | {"PYTHONPATH": path, "OS_WYOMING_ENABLED": "true", "OS_WYOMING_PORT": str(port)}) as served:
        yield served, f"tcp://127.0.0.1:{port}"


def assert_is_espeak(audio: Audio) -> None:
    """Check that audio is about as long as the text takes, and not silent. No other backend of the server has the model or its voices."""
    assert 1.0 < audio.seconds < 6.0
    assert float(abs(audio.samples).max()) > 0.05


def spoken(served: Served) -> Audio:
    body = {"model": "espeak-ng", "voice": "en-gb", "input": TEXT, "response_format": "wav"}
    response = httpx.post(f"{served.base_url}/audio/speech", json=body, timeout=PATIENCE_S)
    assert response.status_code == 200, response.text
    return decode(response.content, 22_050, max_seconds=60)


def test_it_speaks_through_rest_from_a_process_of_its_own(beside: tuple[Served, str]) -> None:
    served, _ = beside
    assert_is_espeak(spoken(served))
    assert served.pid_of("espeak") != served.pid_of("open_speech")


def test_its_process_comes_back_when_it_is_killed(beside: tuple[Served, str]) -> None:
    served, _ = beside
    killed = served.kill("espeak")
    assert_is_espeak(spoken(served))
    assert served.pid_of("espeak") != killed


def test_its_model_and_voices_are_listed_where_the_web_page_reads_them(beside: tuple[Served, str]) -> None:
    served, _ = beside
    with served.client() as client:
        listed = client.get("/v1/models").raise_for_status().json()["data"]
        managed = client.get("/api/models").raise_for_status().json()["models"]
        voices = client.get("/v1/audio/voices", params={"model": "espeak-ng"}).raise_for_status().json()["data"]
        sample = client.get(next(voice["sample"] for voice in voices if voice["id"] == "de"))
    assert "espeak-ng" in {model["id"] for model in listed}
    assert "espeak-ng" in {model["id"] for model in managed}
    assert {"en-us", "en-gb", "de", "fr-fr"} <= {voice["id"] for voice in voices if voice["kind"] == "builtin"}
    assert sample.status_code == 200
    assert "acme/ann" not in {model["id"] for model in listed}


def test_a_wrong_voice_is_an_error_of_the_request(beside: tuple[Served, str]) -> None:
    served, _ = beside
    body = {"model": "espeak-ng", "voice": "en-mars", "input": TEXT}
    response = httpx.post(f"{served.base_url}/audio/speech", json=body, timeout=PATIENCE_S)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "voice"


def test_it_speaks_through_wyoming(beside: tuple[Served, str]) -> None:
    _, uri = beside

    def described() -> Info | None:
        with suppress(OSError):
            return asyncio.run(info(uri))
        return None

    found = until(described, why=lambda: f"nobody listens on {uri}")
    assert "de" in {voice.name for program in found.tts for voice in program.voices}
    chunks = asyncio.run(synthesized(uri))
    assert_is_espeak(from_pcm16(b"".join(chunk.audio for chunk in chunks), chunks[0].rate))


async def info(uri: str) -> Info:
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Describe().event())
        return Info.from_event(await event_of(client))


async def synthesized(uri: str) -> list[AudioChunk]:
    chunks: list[AudioChunk] = []
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Synthesize(TEXT, SynthesizeVoice(name="en-gb")).event())
        while (event := await event_of(client)).type != "audio-stop":
            chunks += [AudioChunk.from_event(event)] if AudioChunk.is_type(event.type) else []
    return chunks


async def event_of(client: AsyncClient) -> Event:
    event = await asyncio.wait_for(client.read_event(), PATIENCE_S)
    assert event is not None
    assert event.type != "error", event
    return event


def test_it_speaks_a_realtime_response(beside: tuple[Served, str]) -> None:
    served, _ = beside
    with connect(f"ws{served.url.removeprefix('http')}/v1/realtime?model=espeak-ng") as socket:
        say(socket, "session.update", session={"type": "realtime", "audio": {"output": {"voice": "en-gb"}}})
        assert until_event(socket, "session.updated")[-1]["session"]["audio"]["output"]["voice"] == "en-gb"
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]}
        say(socket, "conversation.item.create", item=item)
        say(socket, "response.create")
        events = until_event(socket, "response.done")
    assert events[-1]["response"]["status"] == "completed"
    pcm = b"".join(base64.b64decode(event["delta"]) for event in events if event["type"] == "response.output_audio.delta")
    assert_is_espeak(from_pcm16(pcm, 24_000))


def say(socket: ClientConnection, kind: str, **fields: object) -> None:
    socket.send(json.dumps({"type": kind, **fields}))


def until_event(socket: ClientConnection, kind: str) -> list[dict[str, object]]:
    events: list[dict[str, object]] = []
    while not events or events[-1]["type"] != kind:
        events.append(json.loads(socket.recv(timeout=PATIENCE_S)))
        assert events[-1]["type"] != "error", events[-1]
    return events


REPORTS = [
    "plugin broken of acme-broken 1.0: import failed: `acme_broken:PLUGIN` cannot be imported: OSError: libengine.so is missing",
    "plugin kokoro of acme-speech 1.0: backend name taken: Open Speech has a backend `kokoro`",
]


def test_what_was_left_out_is_logged_once_and_named_by_doctor(beside: tuple[Served, str], folder: Path) -> None:
    served, _ = beside
    log = served.log.read_text(encoding="utf-8")
    assert [log.count(report) for report in REPORTS] == [1, 1]
    assert log.count("model index acme: its record cannot be read: remove the index and add it again") == 1
    done = python(folder, "-m", "open_speech.cli", "doctor", OS_PORT=str(free_port()), **PLACED)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    for report in REPORTS:
        name, _, rest = report.removeprefix("plugin ").partition(" of ")
        assert f"warning\tplugin {name}\t{rest}" in lines
    assert "ok\tbackend espeak\tprocess open-speech-espeak 0.1.0" in lines


def test_it_runs_inside_the_server_and_by_address(folder: Path) -> None:
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]), "OS_OFFLINE": "true"}
    with serve(PLACED | path | {"TTS_BACKENDS": "espeak@inproc"}) as served:
        assert_is_espeak(spoken(served))
        with pytest.raises(LookupError):
            served.pid_of("espeak")
    with serve(path, target="open_speech_espeak.runner:Runner") as runner:
        with serve(PLACED | path | {"TTS_BACKENDS": f"tones-tts,espeak@{runner.url}"}) as served:
            assert_is_espeak(spoken(served))
