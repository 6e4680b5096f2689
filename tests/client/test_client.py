from __future__ import annotations

import asyncio
import inspect
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest
from pydantic import BaseModel

from open_speech.api.jobs.bodies import JobBody
from open_speech.api.live_transcription.messages import Query
from open_speech.api.management.states import ModelState, ReplicaBody
from open_speech.api.openai import schemas
from open_speech.api.openai.transcription_request import TranscriptionRequest, TranslationRequest
from open_speech.client import (
    APIError,
    AsyncOpenSpeechClient,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    OpenSpeechClient,
    PlayerFailed,
    Retry,
    Unauthorized,
    async_resources,
    bodies,
    options,
    resources,
)
from tests.client.conftest import KEY, SENTENCE, Relay
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def twin(address: str) -> AsyncOpenSpeechClient:
    return AsyncOpenSpeechClient(f"{address}/v1", KEY)


def test_a_file_is_transcribed_from_its_bytes_its_path_and_an_open_file(client: OpenSpeechClient, clip: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(clip)
    assert client.transcribe(clip)["text"] == SENTENCE
    assert client.transcribe(path)["text"] == SENTENCE
    assert client.transcribe(str(path))["text"] == SENTENCE
    with path.open("rb") as file:
        assert client.transcribe(file)["text"] == SENTENCE
    assert client.transcribe(io.BytesIO(clip))["text"] == SENTENCE


def test_every_format_has_its_type(client: OpenSpeechClient, clip: bytes) -> None:
    verbose = client.transcribe(clip, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert [word["word"] for word in verbose["words"]] == ["Hello", "there", "world."]
    assert verbose["segments"][0]["text"].strip() == SENTENCE
    assert client.transcribe(clip, response_format="text").strip() == SENTENCE
    assert client.transcribe(clip, response_format="srt").startswith("1\n00:00:00,")
    assert client.transcribe(clip, response_format="vtt").startswith("WEBVTT")


def test_options_of_every_kind_arrive(client: OpenSpeechClient, clip: bytes) -> None:
    answer = client.transcribe(
        clip, model="gpt-transcribe", languages=["en", "de"], keywords=["world", "a, b"], temperature=0.2, vad_filter=False,
        chunking_strategy={"type": "server_vad", "threshold": 0.4},
    )  # fmt: skip
    assert (answer["text"], answer["languages"]) == (SENTENCE, [{"code": "en"}])
    with pytest.raises(InvalidRequest) as raised:
        client.transcribe(clip, chunking_strategy={"type": "server_vad", "threshold": 7})
    assert (raised.value.status, raised.value.param) == (400, "chunking_strategy")


def test_a_transcription_is_received_as_events(client: OpenSpeechClient, clip: bytes) -> None:
    events = list(client.transcribe_events(clip))
    assert events[-1]["text"] == SENTENCE
    assert "".join(event["delta"] for event in events if event["type"] == "transcript.text.delta") == SENTENCE


def test_speech_is_received_as_a_whole_and_in_parts(client: OpenSpeechClient) -> None:
    whole = client.speak(SENTENCE, response_format="pcm", cache=False)
    parts = list(client.speak_stream(SENTENCE, response_format="pcm", cache=False))
    assert b"".join(parts) == whole
    kinds = [event["type"] for event in client.speak_events(SENTENCE, progress=True)]
    assert kinds[-1] == "speech.audio.done"
    assert {"speech.audio.delta", "speech.audio.progress"} <= set(kinds)


def test_speech_is_played_through_a_function_and_through_a_command(client: OpenSpeechClient, tmp_path: Path) -> None:
    played: list[bytes] = []
    client.play(SENTENCE, played.append, response_format="wav")
    assert client.transcribe(b"".join(played))["text"] == SENTENCE
    target = tmp_path / "played.wav"
    copy = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read())"
    client.play(SENTENCE, [sys.executable, "-c", copy, str(target)], response_format="wav")
    assert target.read_bytes() == b"".join(played)


@pytest.mark.parametrize("command", [["/nonexistent/player"], [sys.executable, "-c", "raise SystemExit(3)"]])
def test_a_player_that_fails_is_an_error(client: OpenSpeechClient, twin: AsyncOpenSpeechClient, command: list[str]) -> None:
    with pytest.raises(PlayerFailed):
        client.play(SENTENCE * 50, command)
    with pytest.raises(PlayerFailed):
        asyncio.run(twin.play(SENTENCE * 50, command))


def test_voices_are_listed(client: OpenSpeechClient) -> None:
    voices = {voice["id"]: voice for voice in client.voices()}
    assert voices["tone"]["kind"] == "builtin"
    assert voices["alloy"]["voice"] == "tone"
    assert client.voices("tones/speak")[0]["id"] == "tone"


def test_a_model_is_loaded_and_unloaded_with_its_progress(client: OpenSpeechClient) -> None:
    seen: list[bodies.Model] = []
    assert client.models.load("tones/listen", on_progress=seen.append)["state"] == "loaded"
    assert seen[-1]["state"] == "loaded"
    assert client.models.unload("tones/listen")["state"] != "loaded"
    assert client.models.get("tones/listen")["task"] == "speech-to-text"
    assert {"tones/listen", "tones/speak"} <= {model["id"] for model in client.models.list()}
    assert client.models.pull("tones/listen")["state"] == "downloaded"


def test_a_job_is_submitted_followed_and_fetched(client: OpenSpeechClient, clip: bytes) -> None:
    job = client.jobs.submit(clip, response_format="verbose_json")
    states = list(client.jobs.follow(job["id"]))
    assert [state["id"] for state in states] == [job["id"]] * len(states)
    assert states[-1]["status"] == "completed"
    result = client.jobs.result(job["id"])
    assert isinstance(result, dict)
    assert result["text"] == SENTENCE
    assert str(client.jobs.result(job["id"], "srt")).startswith("1\n")
    client.jobs.delete(job["id"])
    with pytest.raises(NotFound):
        client.jobs.get(job["id"])


def test_a_speech_job_results_in_a_file_and_several_files_in_several_jobs(client: OpenSpeechClient, clip: bytes) -> None:
    job = client.jobs.submit_speech(SENTENCE, response_format="wav")
    assert client.jobs.wait(job["id"])["status"] == "completed"
    audio = client.jobs.result(job["id"])
    assert isinstance(audio, bytes)
    assert client.transcribe(audio)["text"] == SENTENCE
    both = client.jobs.submit_files([clip, clip])
    assert [client.jobs.wait(job["id"])["status"] for job in both] == ["completed"] * 2
    assert {job["id"] for job in client.jobs.list(batch_id=str(both[0]["batch_id"]))} == {job["id"] for job in both}


def test_the_same_key_submits_one_job_and_without_one_each_submission_is_another(client: OpenSpeechClient, clip: bytes) -> None:
    first, again = (client.jobs.submit(clip, idempotency_key="lecture-7") for _ in range(2))
    assert first["id"] == again["id"]
    assert client.jobs.submit(clip)["id"] != client.jobs.submit(clip)["id"]


def test_a_failed_job_raises_its_error(client: OpenSpeechClient) -> None:
    job = client.jobs.wait(client.jobs.submit(b"no audio at all")["id"])
    assert job["status"] == "failed"
    with pytest.raises(APIError):
        client.jobs.result(job["id"])


def test_an_error_has_everything_that_the_server_reports(client: OpenSpeechClient) -> None:
    with pytest.raises(NotFound) as raised:
        client.speak("Hello", model="nonexistent-model")
    error = raised.value
    assert (error.status, error.type, error.code, error.param) == (404, "invalid_request_error", "model_not_found", "model")
    assert error.request_id
    assert error.message == str(error)


def test_a_wrong_key_and_a_server_that_is_not_there(address: str, relay: Relay) -> None:
    with OpenSpeechClient(address, "wrong") as client, pytest.raises(Unauthorized):
        client.voices()
    relay.refuses = True
    with OpenSpeechClient(relay.address, KEY, retry=Retry(attempts=3, first_s=0.01)) as client, pytest.raises(ConnectionFailed):
        client.voices()
    assert relay.connections == 3


def test_a_call_that_must_not_be_repeated_is_sent_once(relay: Relay) -> None:
    relay.refuses = True
    with OpenSpeechClient(relay.address, KEY, retry=Retry(attempts=3, first_s=0.01)) as client, pytest.raises(ConnectionFailed):
        client.jobs.cancel("job_1")
    assert relay.connections == 1


def test_the_twin_does_the_same_on_an_event_loop(twin: AsyncOpenSpeechClient, clip: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(clip)

    async def scene() -> None:
        async with twin as client:
            assert (await client.transcribe(clip))["text"] == SENTENCE
            assert (await client.transcribe(path, response_format="text")).strip() == SENTENCE
            assert [event async for event in client.transcribe_events(clip)][-1]["text"] == SENTENCE
            assert await client.speak(SENTENCE, response_format="wav") == clip
            assert b"".join([part async for part in client.speak_stream(SENTENCE, response_format="wav")]) == clip
            played = io.BytesIO()
            await client.play(SENTENCE, played.write, response_format="wav")
            assert played.getvalue() == clip
            assert "tone" in [voice["id"] for voice in await client.voices()]
            assert (await client.models.load("tones/speak"))["state"] == "loaded"
            job = await client.jobs.wait((await client.jobs.submit(clip))["id"])
            assert job["status"] == "completed"
            assert str(await client.jobs.result(job["id"], "text")).strip() == SENTENCE
            with pytest.raises(NotFound):
                await client.models.get("nonexistent-model")

    asyncio.run(asyncio.wait_for(scene(), PATIENCE_S))


def test_the_asynchronous_calls_of_the_blocking_client(client: OpenSpeechClient, clip: bytes) -> None:
    assert asyncio.run(client.async_transcribe(clip))["text"] == SENTENCE
    assert asyncio.run(client.async_speak(SENTENCE, response_format="wav")) == clip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (OpenSpeechClient, AsyncOpenSpeechClient),
        (resources.Models, async_resources.AsyncModels),
        (resources.Jobs, async_resources.AsyncJobs),
    ],
)
def test_both_clients_have_the_same_methods_and_parameters(one: type, other: type) -> None:
    def surface(cls: type) -> dict[str, list[str]]:
        public = {name: value for name, value in vars(cls).items() if not name.startswith("_") and inspect.isfunction(value)}
        return {name: list(inspect.signature(value).parameters) for name, value in public.items()}

    only_blocking = {"async_transcribe", "async_speak", "async_stream_transcribe"} if one is OpenSpeechClient else set()
    assert {name: found for name, found in surface(one).items() if name not in only_blocking} == surface(other)


def optional(model: type[BaseModel], *without: str) -> set[str]:
    return set(model.model_fields) - set(without)


def keys(typed: type) -> set[str]:
    return set(get_type_hints(typed))


@pytest.mark.parametrize(
    ("ours", "server"),
    [
        (options.TranscriptionOptions, optional(TranscriptionRequest, "model", "response_format", "stream")),
        (options.MediaOptions, optional(TranslationRequest, "model", "response_format")),
        (options.SpeechEventOptions, optional(schemas.SpeechRequest, "model", "input", "voice", "stream_format")),
        (options.LiveOptions, optional(Query, "encoding", "resumable")),
        (bodies.Transcription, optional(schemas.TranscriptionBody)),
        (bodies.VerboseTranscription, optional(schemas.VerboseBody)),
        (bodies.DiarizedTranscription, optional(schemas.DiarizedBody)),
        (bodies.Segment, optional(schemas.SegmentBody)),
        (bodies.Word, optional(schemas.WordBody)),
        (bodies.Voice, optional(schemas.VoiceBody)),
        (bodies.Model, optional(ModelState)),
        (bodies.ModelReplica, optional(ReplicaBody)),
        (bodies.Job, optional(JobBody)),
    ],
)  # fmt: skip
def test_the_types_have_every_field_of_the_server(ours: type, server: set[str]) -> None:
    assert keys(ours) == server


def test_the_typescript_options_have_every_field_too() -> None:
    source = (ROOT / "clients/js/src/options.ts").read_text(encoding="utf-8")
    found = {re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name) for name in re.findall(r"^  (\w+)\?:", source, re.MULTILINE)}
    wanted = keys(options.TranscriptionOptions) | keys(options.SpeechEventOptions) | keys(options.LiveOptions) | keys(options.JobOptions)
    assert wanted <= found


BLOCKED = """
import sys
ALLOWED = {"httpx", "httpcore", "h11", "websockets", "anyio", "sniffio", "certifi", "idna", "open_speech", "typing_extensions"}
before = set(sys.modules)
class Finder:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root not in ALLOWED and root not in sys.stdlib_module_names:
            raise ImportError(f"{name} is not a dependency of the client")
sys.meta_path.insert(0, Finder())
import open_speech.client
ours = sorted(name for name in set(sys.modules) - before if name.startswith("open_speech."))
print(*[name for name in ours if not name.startswith("open_speech.client")])
client = open_speech.client.OpenSpeechClient()
client.close()
"""


def test_the_client_imports_nothing_of_the_server() -> None:
    shown = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_S)
    assert (shown.returncode, shown.stdout.split()) == (0, []), shown.stderr


def snippet() -> str:
    """The example of S0's README as it stands in ours."""
    readme = (ROOT / "clients/python/README.md").read_text(encoding="utf-8")
    return readme.partition("<!-- snippet:begin -->\n```python\n")[2].partition("```\n<!-- snippet:end -->")[0]


def test_the_snippet_of_the_readme_runs(address: str, clip: bytes, tmp_path: Path) -> None:
    (tmp_path / "audio.wav").write_bytes(clip)
    code = snippet().replace('base_url="http://localhost:8100"', f'base_url="{address}", api_key="{KEY}"')
    assert code.count("realtime_session") == 1
    shown = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=PATIENCE_S,
        env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0] == SENTENCE
    assert any(line.startswith("tx ") and "input_audio_transcription.completed" in line for line in lines)
    assert any("session.begin" in line for line in lines)
    assert any("session.end" in line for line in lines)
