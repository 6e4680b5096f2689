from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml.exceptions import ServiceUnavailable

from open_speech import config
from open_speech.audio import concat
from open_speech.backends import Task
from open_speech.codecs import wav_bytes
from open_speech.config import SettingsError
from open_speech.recognition.request import RecognitionRequest
from open_speech.synthesis.plan import SynthesisRequest
from runners import catalog
from runners.catalog.placement import plan
from runners.host import own_service
from runners.wiring import engine as topology
from runners.wiring import factories as parts
from runners.wiring import supervisor_parts
from runners.wiring.bento_service import Resources
from runners.wiring.services import dependencies, service_of

ROOT = Path(__file__).parents[3]


def settings(**values: str) -> config.Settings:
    return config.load(values)


def test_a_backend_runs_in_a_process_of_its_own_unless_told_otherwise() -> None:
    placements = plan(settings(STT_BACKENDS="tones-stt", TTS_BACKENDS="tones-tts@inproc"))
    assert [(p.backend.name, p.where) for p in placements] == [("tones-stt", "process"), ("tones-tts", "inproc")]


def test_a_backend_on_another_machine_needs_nothing_installed_here() -> None:
    placements = plan(settings(STT_BACKENDS="tones-stt@http://gpu-box:3000", TTS_ENABLED="false"))
    assert [p.where for p in placements] == ["http://gpu-box:3000"]


@pytest.mark.parametrize(
    ("where", "addresses", "is_fleet"),
    [
        ("http://a:3000", ("http://a:3000",), False),
        ("http://a:3000|http://b:3000", ("http://a:3000", "http://b:3000"), True),
        ("dns+http://runners:3000", ("dns+http://runners:3000",), True),
        ("https://a|dns+http://runners:3000", ("https://a", "dns+http://runners:3000"), True),
        ("process", (), False),
        ("inproc", (), False),
    ],
)
def test_a_backend_may_have_replicas(where: str, addresses: tuple[str, ...], is_fleet: bool) -> None:
    (placement,) = plan(settings(STT_BACKENDS=f"tones-stt@{where}", TTS_ENABLED="false"))
    assert (placement.where, placement.addresses, placement.is_fleet) == (where, addresses, is_fleet)
    assert placement.is_remote is bool(addresses)


def test_replicas_are_no_dependency_of_the_front_and_a_single_address_is_one() -> None:
    placements = plan(settings(STT_BACKENDS="tones-stt@http://a|http://b", TTS_BACKENDS="tones-tts@http://c"))
    assert {name: found.url for name, found in dependencies(placements).items()} == {"runner_tones_tts": "http://c"}


@pytest.mark.parametrize(
    "value",
    [
        "wishper", "kokoro", "tones-stt@mars", "tones-stt@ftp://x", "tones-stt@http://", "tones-stt@http://a|mars", "tones-stt@http://a|",
        "tones-stt@inproc|http://a", "tones-stt@http://a|http://a", "tones-stt@dns+https://a:3000", "tones-stt@dns+http://a",
        "tones-stt@http://a:port",
    ],
)  # fmt: skip
def test_a_wrong_placement_stops_the_start_and_is_named(value: str) -> None:
    with pytest.raises(SettingsError, match="STT_BACKENDS"):
        plan(settings(STT_BACKENDS=value))


def test_a_server_with_redis_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    supervisor_parts.check_shared_state(settings())
    with pytest.raises(SettingsError, match=r"^OS_REDIS_URL: .*install `open-speech\[redis\]`") as refused:
        supervisor_parts.check_shared_state(settings(OS_REDIS_URL="redis://:sesame@cache:6379"))
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize("url", ["redis://:ses/ame@cache:6379", "redis://cache:port", "redis://cache?socket_timeout=soon"])
def test_a_wrong_url_of_redis_is_refused_and_its_password_not_shown(url: str) -> None:
    pytest.importorskip("redis", reason="needs open-speech[redis]")
    with pytest.raises(SettingsError, match=r"^OS_REDIS_URL: the URL is invalid") as refused:
        supervisor_parts.check_shared_state(settings(OS_REDIS_URL=url))
    assert "ses" not in str(refused.value)


def test_speech_can_be_switched_off() -> None:
    assert all(p.backend.task is Task.STT for p in plan(settings(STT_BACKENDS="tones-stt", TTS_ENABLED="false")))


@pytest.mark.parametrize("entry", [b for b in catalog.BACKENDS if catalog.installed(b)], ids=lambda b: b.name)
def test_every_backend_has_its_service_at_the_foot_of_its_file(entry: Any) -> None:
    service = service_of(entry)
    method = {Task.STT: "transcribe", Task.LLM: "generate", Task.DIARIZE: "voiceprints"}.get(entry.task, "synthesize")
    assert {method, "load_model", "unload_model", "status"} <= set(service.apis)
    assert service.config["runner_connection"]["max_requests"] > 1_000_000
    assert service.config["runner_probe"] == {"enabled": False}
    assert service.config["workers"] >= 1
    assert service.config["threads"] >= 1
    assert service.config["resources"]["cpu"] > 0
    assert service.config["resources"]["memory"]


def test_resources_default_to_one_process_and_one_call() -> None:
    assert Resources() == Resources(gpu=0.0, workers=1, threads=1, cpu=0.0, memory="")


def test_a_local_engine_speaks_and_hears_without_any_server() -> None:
    engine = topology.local_engine(
        settings(
            STT_BACKENDS="tones-stt",
            TTS_BACKENDS="tones-tts",
            STT_MODEL="tones/listen",
            TTS_MODEL="tones/speak",
            TTS_VOICE="tone",
            OS_OFFLINE="true",
            STT_VAD_ENABLED="false",
        )  # fmt: skip
    )

    async def round_trip() -> str:
        speech = await engine.synthesis.speak(SynthesisRequest("tts-1", "Hello from the engine."))
        sound = concat([piece async for piece in speech], speech.rate)
        return (await engine.recognition.transcribe(wav_bytes(sound), RecognitionRequest("whisper-1"))).text

    assert asyncio.run(round_trip()) == "Hello from the engine."


class Unreachable:
    """What BentoML's dependencies give the front for runners that do not answer."""

    @property
    def to_async(self) -> Unreachable:
        return self

    async def status(self) -> dict[str, Any]:
        raise ServiceUnavailable("nobody listens")


@pytest.mark.parametrize(
    ("supervisor", "url", "sleeps"),
    [("1", "file:///nowhere/runner.sock", True), ("1", "http://elsewhere:3000", False), ("", "file:///nowhere/runner.sock", False)],
    ids=["on demand", "elsewhere", "eager"],
)
def test_a_runner_without_a_process_sleeps_only_if_the_supervisor_starts_it_on_demand(
    supervisor: str, url: str, sleeps: bool, tones_settings: config.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(own_service.ON_DEMAND, supervisor)
    placements = plan(tones_settings)
    front = SimpleNamespace(**{placement.attribute: Unreachable() for placement in placements})
    with BentoMLContainer.remote_runner_mapping.patch({placement.backend.service: url for placement in placements}):
        engine = topology.engine_of(front, tones_settings, placements)
    statuses = [asyncio.run(client.status()) for client in engine.pool.clients.values()]
    assert [bool(status and status["asleep"]) for status in statuses] == [sleeps] * 2


def test_recordings_jobs_and_kept_speech_are_made_private(tmp_path: Path) -> None:
    made = [
        tmp_path / place
        for place in (
            "library/voices/voice_1/sound.wav", "library/consents/cons_1/sound.wav", "jobs/job_1/upload", "cache/speech-1/ab/cd.val",
        )
    ]  # fmt: skip
    for file in made:
        file.parent.mkdir(parents=True)
        file.touch()
        for path in (file, *file.parents):
            if path.is_relative_to(tmp_path) and path != tmp_path:
                path.chmod(0o777 if path.is_dir() else 0o666)
    chosen = {"OS_VOICE_LIBRARY_PATH": "library", "OS_JOBS_DIR": "jobs", "TTS_CACHE_DIR": "cache"}
    parts.make_folders_private(settings(**{name: str(tmp_path / place) for name, place in chosen.items()}))
    open_to_others = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.stat().st_mode & 0o077}
    assert open_to_others == {"library", "cache"}


@pytest.mark.parametrize(
    ("isolates", "said"),
    [("true", "files are decoded in a sandbox: "), ("false", "without a sandbox, because OS_DECODE_IN_CHILD is off")],
)
def test_the_log_says_how_files_are_decoded(isolates: str, said: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with parts.decoding(settings(OS_DECODE_IN_CHILD=isolates), at_once=False) as fork_server:
        asyncio.run(parts.report_sandbox(fork_server))
    assert said in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="the attribute is Linux's")
@pytest.mark.parametrize(("dumpable", "shown"), [("false", "0"), ("true", "1")])
def test_whatever_imports_the_service_hides_its_memory_unless_the_settings_say_otherwise(dumpable: str, shown: str) -> None:
    code = "import ctypes, service; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE
    environ = os.environ | {"OS_DUMPABLE": dumpable, "OS_OFFLINE": "true"}
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.splitlines()[-1] == shown


@pytest.mark.parametrize(
    ("value", "batching"),
    [
        ("fair", {"faster-whisper": "fair", "vosk": "fair", "moonshine": "fair"}),
        ("bentoml", {"faster-whisper": "bentoml", "vosk": "fair", "moonshine": "fair"}),
        ("faster-whisper=bentoml", {"faster-whisper": "bentoml", "vosk": "fair", "moonshine": "fair"}),
        ("bentoml,faster-whisper=fair", {"faster-whisper": "fair", "vosk": "fair", "moonshine": "fair"}),
    ],
)
def test_batches_are_bentomls_where_the_setting_says_so_and_it_can(value: str, batching: dict[str, str]) -> None:
    """Vosk decodes no batches, and BentoML has none in the server's own process."""
    placements = plan(settings(OS_BATCHING=value, STT_BACKENDS="faster-whisper@http://x,vosk@http://x,moonshine@inproc", TTS_BACKENDS=""))
    assert {p.backend.name: p.batching for p in placements} == batching


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("slow", "OS_BATCHING.*'slow' is neither `fair` nor `bentoml`"),
        ("faster-whisper=fast", "OS_BATCHING.*'faster-whisper=fast' is neither"),
        ("wishper=bentoml", "OS_BATCHING: BentoML cannot batch 'wishper'; it can batch faster-whisper"),
        ("vosk=bentoml", "OS_BATCHING: BentoML cannot batch 'vosk'"),
        ("wishper=fair", "OS_BATCHING: unknown backend 'wishper'"),
        ("moonshine=bentoml", "OS_BATCHING: 'moonshine=bentoml' needs a process for the backend"),
    ],
)
def test_a_wrong_choice_of_batches_stops_the_start_and_is_named(value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        plan(settings(OS_BATCHING=value, STT_BACKENDS="moonshine@inproc", TTS_BACKENDS=""))
