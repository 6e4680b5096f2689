from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, BackendEntry, ModelEntry, Task, TranscribeOptions, WindowResult
from open_speech.codecs import decode
from open_speech.config import Settings
from open_speech.dispatch.admission import Admission
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.fallback import FallbackChain, FallbackModels
from open_speech.dispatch.frames import END, LIVE, LIVE_PARTIAL, WindowCall, window_frame
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.recognizer import LiveRecognizer, LiveRecognizers, SessionRecognizer
from open_speech.recognition.live.turn_detection import Endpointer, Started, Stopped
from open_speech.registry import Defaults, Registry
from open_speech.transcript import Segment
from runners.wiring.engine import local_engine


@pytest.fixture
def calls() -> list[WindowCall]:
    return []


@pytest.fixture
def recognizer(reader: Any, calls: list[WindowCall]) -> LiveRecognizer:
    """An ear over a runner that takes every first look for Welsh, and is not sure; in a language that is named all is well."""

    class Unsure(type(reader)):  # type: ignore[misc]
        sure = 0.5

        async def hear(self, call: WindowCall) -> AsyncGenerator[bytes, None]:
            calls.append(call)
            language = call.unpack()[1].language
            text = f" in {language or 'cy'}"
            heard = WindowResult(language or "cy", 1.0 if language else self.sure, (Segment(0, 1, text, avg_logprob=-0.1),))
            yield window_frame(heard).encode() + END.encode()

    backend = BackendEntry("unsure", Task.STT, "x:X", (), "", "MIT", batch=4)
    entry = ModelEntry("unsure", "unsure", Task.STT, "MIT", ("en", "cy"))
    registry = Registry([backend], [entry], {"unsure": "process"}, Defaults("unsure", "", ""))
    runner: Any = Unsure()
    no_detector: Callable[[], Any] = lambda: None  # noqa: E731 - of its type, and never asked for
    runners = {"unsure": RunnerClient("unsure", runner, deadline_s=5)}
    recognizers = LiveRecognizers(registry, runners, no_detector, None, Admission(runners, max_queue=4, patience_s=5))
    return asyncio.run(recognizers.recognizer("unsure", TranscribeOptions()))


def test_a_partial_pass_is_quick_and_a_final_one_goes_before_it(
    recognizer: LiveRecognizer, calls: list[WindowCall], say: Callable[..., Audio]
) -> None:
    asyncio.run(recognizer.transcribe(say(1), final=False))
    asyncio.run(recognizer.transcribe(say(1), final=True))
    partial, final = (call.unpack()[1] for call in calls)
    assert (partial.beam_size, partial.temperatures, partial.draft) == (1, (0.0,), True)
    assert final == TranscribeOptions()
    assert [call.urgency for call in calls] == [LIVE_PARTIAL, LIVE]
    assert LIVE > LIVE_PARTIAL > 0


def test_a_new_session_believes_what_it_hears(recognizer: LiveRecognizer, calls: list[WindowCall], say: Callable[..., Audio]) -> None:
    assert asyncio.run(recognizer.transcribe_final(say(1))).text == "in cy"
    assert len(calls) == 1


def test_a_few_words_in_a_doubtful_language_are_heard_in_that_of_the_session(recognizer: LiveRecognizer, say: Callable[..., Audio]) -> None:
    async def session() -> str:
        recognizer.remember(await recognizer.transcribe(say(1, 2, 3, 4), final=True, language="en"))
        return (await recognizer.transcribe_final(say(1))).text

    assert asyncio.run(session()) == "in en"


def test_somebody_who_surely_changes_the_language_is_believed(recognizer: LiveRecognizer, say: Callable[..., Audio]) -> None:
    async def session() -> str:
        recognizer.remember(await recognizer.transcribe(say(1, 2, 3, 4), final=True, language="en"))
        recognizer._handle.runner.replicas.members[0].link.sure = 0.95  # type: ignore[attr-defined]
        return (await recognizer.transcribe_final(say(1, 2, 3, 4))).text

    assert asyncio.run(session()) == "in cy"


def test_of_a_few_words_it_takes_more_to_believe_another_language(recognizer: LiveRecognizer, say: Callable[..., Audio]) -> None:
    async def session(sure: float) -> str:
        recognizer.remember(await recognizer.transcribe(say(1, 2, 3, 4), final=True, language="en"))
        recognizer._handle.runner.replicas.members[0].link.sure = sure  # type: ignore[attr-defined]
        return (await recognizer.transcribe_final(say(1))).text

    assert asyncio.run(session(0.95)) == "in en"
    assert asyncio.run(session(0.98)) == "in cy"


def test_a_session_is_in_no_language_that_was_only_guessed(
    recognizer: LiveRecognizer, calls: list[WindowCall], say: Callable[..., Audio]
) -> None:
    async def session() -> None:
        for _ in range(3):
            recognizer.remember(await recognizer.transcribe_final(say(1)))
        recognizer._handle.runner.replicas.members[0].link.sure = 0.6  # type: ignore[attr-defined]
        recognizer.remember(await recognizer.transcribe_final(say(1, 2, 3, 4, 5)))

    asyncio.run(session())
    assert [call.unpack()[1].language for call in calls] == [None] * 4


def test_what_was_decided_makes_nobody_surer(recognizer: LiveRecognizer, say: Callable[..., Audio]) -> None:
    async def session() -> float:
        recognizer.remember(await recognizer.transcribe(say(1, 2, 3, 4), final=True, language="en"))
        return (await recognizer.transcribe_final(say(1))).info.language_probability

    assert asyncio.run(session()) == 0.5


def test_a_session_keeps_its_ear_and_the_next_one_knows_its_languages(
    recognizer: LiveRecognizer, calls: list[WindowCall], say: Callable[..., Audio]
) -> None:
    made: list[TranscribeOptions] = []

    async def find(model: str, options: TranscribeOptions) -> LiveRecognizer:
        made.append(options)
        found = copy.copy(recognizer)
        found._languages = {}
        return found

    async def session() -> str:
        recognizers = SessionRecognizer(find)
        first = await recognizers.recognizer("unsure", TranscribeOptions())
        assert await recognizers.recognizer("unsure", TranscribeOptions()) is first
        first.remember(await first.transcribe(say(1, 2, 3, 4), final=True, language="en"))
        second = await recognizers.recognizer("unsure", TranscribeOptions(prompt="names"))
        assert second is not first
        return (await second.transcribe_final(say(1))).text

    assert asyncio.run(session()) == "in en"
    assert len(made) == 2


@pytest.mark.weights
def test_a_short_phrase_of_real_speech_is_not_taken_for_another_language(
    model_folder: Callable[[str], Path], weights_root: Path, speech_clips: dict[str, Path]
) -> None:
    """By itself Whisper base takes the third of these for Welsh."""
    model_folder("Systran/faster-whisper-base")
    clip = decode(speech_clips["two_cities"].read_bytes(), STT_RATE, max_seconds=60)

    async def session() -> list[tuple[str, str]]:
        engine = local_engine(Settings(os_models_dir=weights_root, os_offline=True, tts_backends=("tones-tts",)))
        turns = Endpointer(silence_duration_ms=200)
        events = InputBuffer(await engine.recognition.detector(), turns).feed(Audio(clip.samples[: 9 * STT_RATE], STT_RATE))
        starts = [event.at_s for event in events if isinstance(event, Started)]
        stops = [event.at_s for event in events if isinstance(event, Stopped)]
        recognizer = await engine.recognition.recognizer("Systran/faster-whisper-base", TranscribeOptions())
        heard = []
        for start, stop in zip(starts, stops, strict=False):  # the last one goes on
            said = await recognizer.transcribe_final(
                Audio(clip.samples[round(start * STT_RATE) : round((stop + 0.3) * STT_RATE)], STT_RATE)
            )
            recognizer.remember(said)
            heard.append((said.info.language, said.text.lower().rstrip(".")))
        return heard

    heard = asyncio.run(session())
    assert [language for language, _ in heard] == ["en"] * len(heard)
    assert [text for _, text in heard][1:3] == ["it was the age of wisdom", "it was the age of foolishness"]


def test_an_utterance_that_a_full_queue_refuses_is_for_the_fallback_model(reader: Any, say: Callable[..., Audio]) -> None:
    backends = [BackendEntry(name, Task.STT, "x:X", (), "", "MIT", batch=4) for name in ("own", "other")]
    models = [ModelEntry(f"{name}/one", name, Task.STT, "MIT", ("en",)) for name in ("own", "other")]
    registry = Registry(backends, models, {"own": "process", "other": "process"}, Defaults("own/one", "", ""))
    links: dict[str, Any] = {name: type(reader)() for name in ("own", "other")}
    runners = {name: RunnerClient(name, link, deadline_s=5) for name, link in links.items()}
    admission = Admission(runners, max_queue=1, patience_s=5)
    chain = FallbackChain(registry, Task.STT, FallbackModels(("other/one",)))

    async def run() -> str:
        recognizers = LiveRecognizers(registry, runners, lambda: None, None, admission, chain=chain)  # type: ignore[arg-type, return-value]
        recognizer = await recognizers.recognizer("own/one", TranscribeOptions())
        with admission.ticket("own", live=True), recognizer.admitted() as admitted:
            await recognizer.transcribe_final(say(1), model=admitted.model)
            return admitted.model.id

    assert asyncio.run(run()) == "other/one"
    assert [bool(links[name].calls) for name in ("own", "other")] == [False, True]
