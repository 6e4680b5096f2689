"""A model in several checkpoints, and a backend that speaks many pieces in one call: what the host makes of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.backends import BackendEntry, ModelEntry, Setup, SpeechOptions, Task, Utterance, VoiceReference
from open_speech.dispatch.frames import Decoder, Frame, Kind, LoadModel, RunnerStatus, SpeakCall, UnloadModel, audio_of, error_of
from open_speech.errors import InvalidRequest, NothingToSpeak, SpeechError, UnknownModel
from open_speech.registry import Defaults, Registry
from open_speech.weights import Store
from runners.host.host import Host, HostOptions
from tests.waiting import PATIENCE_S

BACKEND = BackendEntry("toy", Task.TTS, "nowhere:Toy", (), "", "MIT", batch=4)
PARTS = (
    ModelEntry("toy/speaks", "toy", Task.TTS, "MIT", ("en",)),
    ModelEntry("toy/makes-up", "toy", Task.TTS, "MIT", ("en",), designs=True),
    ModelEntry("toy/clones", "toy", Task.TTS, "MIT", ("en",), clones=True),
)
MODEL = ModelEntry("toy", "toy", Task.TTS, "MIT", ("en",), parts=PARTS)
PLAIN = SpeechOptions("anna")
MADE_UP = SpeechOptions("anna", design="an old man")
CLONED = SpeechOptions("anna", reference=VoiceReference(b"\0\0"))


class Toy:
    """Notes which checkpoints are loaded and how many pieces came at once; the first call waits until it is let go on."""

    loaded: list[str]
    batches: list[int]
    go_on: threading.Event

    def __init__(self, setup: Setup) -> None:
        self.own = setup.settings
        self.id = setup.model.id

    def load(self) -> None:
        self.loaded.append(self.id)

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        raise AssertionError("its pieces are spoken together")

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Audio | SpeechError]:
        self.batches.append(len(utterances))
        self.go_on.wait(PATIENCE_S)
        sound = Audio(np.full(1, self.own["loudness"], np.float32), 24_000)
        return [NothingToSpeak("nothing", param="input") if one.text == "Nothing." else sound for one in utterances]


@pytest.fixture
def toy() -> type[Toy]:
    go_on = threading.Event()
    go_on.set()
    return type("Mine", (Toy,), {"loaded": [], "batches": [], "go_on": go_on})


@pytest.fixture
def host(toy: type[Toy], tmp_path: Path) -> Host:
    registry = Registry([BACKEND], [MODEL], {"toy": "process"}, Defaults("", "toy", ""))
    return Host(toy, registry, Store(tmp_path, offline=True), HostOptions(settings={"loudness": 0.25}), threads=1, batch=BACKEND.batch)


async def frames_of(host: Host, text: str, options: SpeechOptions, model: str) -> list[Frame]:
    decoder = Decoder()
    return [frame async for chunk in host.call(SpeakCall.of(model, text, options)) for frame in decoder.feed(chunk)]


async def say(host: Host, text: str, options: SpeechOptions = PLAIN, model: str = "toy") -> Audio:
    *rest, last = await frames_of(host, text, options, model)
    if last.kind is Kind.ERROR:
        raise error_of(last)
    (sound,) = (audio_of(frame) for frame in rest if frame.kind is Kind.AUDIO)
    return sound


def test_a_checkpoint_is_loaded_when_a_request_needs_it(host: Host, toy: type[Toy]) -> None:
    async def scenario() -> None:
        for options in (PLAIN, CLONED, CLONED, MADE_UP, PLAIN):
            await say(host, "Hello.", options)
        assert set((await host.ask(RunnerStatus()))["loaded"]) == set(toy.loaded)

    asyncio.run(scenario())
    assert toy.loaded == ["toy/speaks", "toy/clones", "toy/makes-up"]


def test_a_checkpoint_may_be_named_itself(host: Host, toy: type[Toy]) -> None:
    asyncio.run(say(host, "Hello.", PLAIN, "toy/clones"))
    assert toy.loaded == ["toy/clones"]


def test_loading_a_model_loads_what_speaks_plain_requests(host: Host, toy: type[Toy]) -> None:
    async def scenario() -> None:
        async for _ in host.call(LoadModel("toy")):
            pass

    asyncio.run(scenario())
    assert toy.loaded == ["toy/speaks"]


def test_unloading_a_model_lets_go_of_all_its_checkpoints(host: Host) -> None:
    async def scenario() -> None:
        await say(host, "Hello.", PLAIN)
        await say(host, "Hello.", CLONED)
        assert await host.ask(UnloadModel("toy"))
        assert (await host.ask(RunnerStatus()))["loaded"] == {}
        assert not await host.ask(UnloadModel("toy"))

    asyncio.run(scenario())


def test_a_model_that_does_not_exist_is_told(host: Host) -> None:
    with pytest.raises(UnknownModel):
        asyncio.run(say(host, "Hello.", PLAIN, "nobody"))


def test_a_backend_finds_its_own_settings_in_its_setup(host: Host) -> None:
    assert asyncio.run(say(host, "Hello.")).samples.tolist() == [0.25]


def test_pieces_that_wait_are_spoken_together_and_a_wrong_one_fails_alone(host: Host, toy: type[Toy]) -> None:
    async def scenario() -> list[Audio | BaseException]:
        toy.go_on.clear()
        first = asyncio.create_task(say(host, "First."))
        while not toy.batches:
            await asyncio.sleep(0.01)
        rest = asyncio.gather(*(say(host, text) for text in ("One.", "Two.", "Nothing.", "Four.")), return_exceptions=True)
        await asyncio.sleep(0.1)
        toy.go_on.set()
        await first
        return await rest

    answers = asyncio.run(scenario())
    assert toy.batches == [1, 4]
    assert [type(answer) for answer in answers] == [Audio, Audio, NothingToSpeak, Audio]


def test_what_the_entry_rules_out_is_refused_before_the_model_is_loaded(host: Host, toy: type[Toy]) -> None:
    for text, options, field in (
        ("…", PLAIN, "input"),
        ("Hi.", replace(PLAIN, speed=3.0), "speed"),
        ("Hi.", replace(PLAIN, language="tlh"), "language"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            asyncio.run(say(host, text, options))
        assert refused.value.param == field
    assert toy.loaded == []
