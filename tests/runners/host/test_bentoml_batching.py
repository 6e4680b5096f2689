"""Batches that BentoML forms: one call of the model for the calls of a batch, and an answer for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import bentoml
import numpy as np
import pytest
from _bentoml_impl.server.app import ServiceAppFactory
from bentoml.exceptions import BentoMLException, NotFound

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, BackendEntry, ModelEntry, Setup, SpeechOptions, Task, TranscribeOptions, Utterance, Window
from open_speech.backends import WindowResult as Result
from open_speech.dispatch.frames import Decoder, Frame, Kind, RunnerStatus, SpeakCall, WindowCall, audio_of, error_of, window_of
from open_speech.errors import BackendFailed, NothingToSpeak, SpeechError, UnknownModel
from open_speech.registry import Defaults, Registry
from open_speech.weights import Store
from runners import faster_whisper, kokoro, moonshine
from runners.host import bentoml_batching
from runners.host.bentoml_batching import Answer, answers
from runners.host.bentoml_patches import quiet
from runners.host.host import Host, HostOptions
from runners.host.service_link import ServiceLink


class Toy:
    """A recognizer and synthesizer that notes how many inputs came at once."""

    batches: list[int]

    def __init__(self, setup: Setup) -> None:
        self.id = setup.model.id

    def load(self) -> None:
        if self.id == "toy/broken":
            raise BackendFailed("cannot be loaded")

    def transcribe_windows(self, windows: Sequence[Window]) -> list[Result | SpeechError]:
        self.batches.append(len(windows))
        return [Result(f"{window.audio.seconds:g} s", 1.0) for window in windows]

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Audio | SpeechError]:
        self.batches.append(len(utterances))
        if any(one.text == "crash" for one in utterances):
            raise ZeroDivisionError("secret detail")
        return [
            Audio(np.full(len(one.text), 0.5, np.float32), 24_000) if one.text != "hm" else NothingToSpeak("nothing", param="input")
            for one in utterances
        ]


@pytest.fixture
def toy() -> type[Toy]:
    return type("Mine", (Toy,), {"batches": []})


@pytest.fixture
def host(toy: type[Toy], tmp_path: Path) -> Host:
    entry = BackendEntry("toy", Task.TTS, "nowhere:Toy", (), "", "MIT", batch=4)
    models = [ModelEntry(name, "toy", Task.TTS, "MIT", ("en",)) for name in ("toy", "toy/other", "toy/broken")]
    registry = Registry([entry], models, {"toy": "process"}, Defaults("", "toy", ""))
    return Host(toy, registry, Store(tmp_path, offline=True), HostOptions(), threads=2, batch=4)  # type: ignore[arg-type]


def say(text: str, model: str = "toy") -> SpeakCall:
    return SpeakCall.of(model, text, SpeechOptions("v"))


def frames_of(answer: Answer) -> list[Frame]:
    return list(Decoder().feed(answer.frames))


def answered(host: Host, *calls: SpeakCall | WindowCall) -> list[list[Frame]]:
    return [frames_of(answer) for answer in asyncio.run(answers(host, calls))]


def test_the_calls_of_a_batch_are_decoded_in_one_call_of_the_model(host: Host, toy: type[Toy]) -> None:
    found = answered(host, say("a"), say("bcd"), say("ef"))
    assert [[frame.kind for frame in frames] for frames in found] == [[Kind.AUDIO, Kind.END]] * 3
    assert [audio_of(frames[0]).samples.size for frames in found] == [1, 3, 2]
    assert toy.batches == [3]


def test_windows_are_batched_as_pieces_of_text_are(host: Host, toy: type[Toy]) -> None:
    windows = [Window(Audio(np.zeros(STT_RATE * seconds, np.float32), STT_RATE), TranscribeOptions()) for seconds in (3, 1)]
    found = answered(host, *(WindowCall.window("toy", window, asker="a", urgency=0) for window in windows))
    assert [window_of(frames[0]).language for frames in found] == ["3 s", "1 s"]
    assert toy.batches == [2]


@pytest.mark.parametrize(("text", "decoded"), [("hm", 3), ("", 2)], ids=["of the backend", "before it is called"])
def test_an_error_concerns_one_call_of_the_batch(host: Host, toy: type[Toy], text: str, decoded: int) -> None:
    first, empty, last = answered(host, say("a"), say(text), say("b"))
    assert [frame.kind for frame in (*first, *last)] == [Kind.AUDIO, Kind.END] * 2
    (error,) = map(error_of, empty)
    assert isinstance(error, NothingToSpeak)
    assert error.param == "input"
    assert toy.batches == [decoded]


def test_a_model_that_cannot_be_loaded_concerns_its_calls_only(host: Host, toy: type[Toy]) -> None:
    found = answered(host, say("a"), say("b", "toy/broken"), say("c", "no/such"), say("d", "toy/other"), say("e"))
    errors = [type(error_of(frames[0])) if frames[0].kind is Kind.ERROR else None for frames in found]
    assert errors == [None, BackendFailed, UnknownModel, None, None]
    assert sorted(toy.batches) == [1, 2]


def test_an_exception_of_the_backend_is_the_answer_to_each_call(host: Host) -> None:
    for frames in answered(host, say("a"), say("crash")):
        (error,) = map(error_of, frames)
        assert isinstance(error, BackendFailed)
        assert "secret" not in error.message


def test_the_sizes_of_the_batches_are_counted(host: Host) -> None:
    async def scenario() -> Any:
        await answers(host, [say("a"), say("b")])
        await answers(host, [say("c")])
        return (await host.ask(RunnerStatus()))["batches"]

    assert asyncio.run(scenario()) == {2: 1, 1: 1}


class Client:
    """BentoML's client of a runner that loads a model before it answers."""

    def __init__(self, answer: list[Answer] | Exception, trouble: Exception | None = None) -> None:
        """`trouble` is what a question about the status raises."""
        self.answer = answer
        self.trouble = trouble
        self.asked = asyncio.Event()
        self.sent: list[SpeakCall] = []

    async def synthesize_batch(self, calls: list[SpeakCall]) -> list[Answer]:
        self.sent += calls
        await self.asked.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def status(self) -> dict[str, Any]:
        self.asked.set()
        if self.trouble is not None:
            raise self.trouble
        return {"progress": {"toy": {"state": "loading"}}, "version": "0.2.0"}


async def all_of(chunks: AsyncGenerator[bytes, None]) -> list[Frame]:
    decoder = Decoder()
    return [frame async for chunk in chunks for frame in decoder.feed(chunk)]


def linked(answer: list[Answer] | Exception, monkeypatch: pytest.MonkeyPatch, trouble: Exception | None = None) -> list[Frame]:
    monkeypatch.setattr(bentoml_batching, "HEARTBEAT_S", 0.01)

    async def scenario() -> list[Frame]:
        client = Client(answer, trouble)
        frames = await all_of(ServiceLink(SimpleNamespace(to_async=client), batching="bentoml").call(say("a")))
        assert client.sent == [say("a")]
        return frames

    return asyncio.run(scenario())


def test_a_caller_hears_of_the_loading_of_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    progress, end = linked([Answer(frames=Frame(Kind.END).encode())], monkeypatch)
    assert progress == Frame(Kind.PROGRESS, b'{"state": "loading"}')
    assert end.kind is Kind.END


@pytest.mark.parametrize("trouble", [aiohttp.ServerDisconnectedError(), BentoMLException("busy")])
def test_a_call_is_sent_once_though_the_status_of_the_runner_cannot_be_had(trouble: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    (end,) = linked([Answer(frames=Frame(Kind.END).encode())], monkeypatch, trouble)
    assert end.kind is Kind.END


def test_a_runner_of_an_earlier_version_is_refused_by_the_name_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendFailed, match="has no operation `synthesize_batch`: it runs Open Speech"):
        linked(NotFound("no such API"), monkeypatch)


@pytest.mark.parametrize(("service", "size"), [(faster_whisper.Runner, 4), (moonshine.Runner, 8)])
def test_a_backend_that_decodes_batches_has_a_batchable_api(service: Any, size: int) -> None:
    api = service.apis["hear_batch"]
    assert (api.batchable, api.max_batch_size, api.max_latency_ms) == (True, size, bentoml_batching.MAX_LATENCY_MS)
    assert not service.apis["hear"].batchable


def test_no_other_backend_has_one() -> None:
    assert [name for name, api in kokoro.Runner.apis.items() if api.batchable] == []


def test_bentoml_decodes_as_many_batches_at_once_as_a_runner_has_threads() -> None:
    with quiet():

        class Batching:
            @bentoml.api(batchable=True, max_batch_size=4, max_latency_ms=1000)
            async def double(self, values: list[int]) -> list[int]:
                return [2 * value for value in values]

        service = bentoml.service(name="batching", threads=3)(Batching)
    settings = {"batching": {"traffic": {"timeout": 60}, "workers": 1}}
    factory = ServiceAppFactory(service, enable_metrics=False, services=settings, enable_access_control=False, access_control_options={})
    taken = [factory.dispatchers["double"]._sema.acquire() for _ in range(4)]
    assert taken == [True, True, True, False]
