from __future__ import annotations

import asyncio
import base64
import statistics
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from open_speech import config
from open_speech.api.openai.captioning import WAITING, Captioner, recognizer_for
from open_speech.api.openai.schemas import SpeechRequest
from open_speech.api.openai.speech_events import SpeechMonitor, captioner_for
from open_speech.audio import Audio, silence
from open_speech.backends import BackendEntry, ModelEntry, Task, TranscribeOptions, Voice
from open_speech.codecs import encode_stream
from open_speech.errors import BackendFailed, UnsupportedValue
from open_speech.recognition.request import RecognitionRequest
from open_speech.registry import Defaults, Registry
from open_speech.synthesis.alignment import align
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.synthesis.stream import Cue
from open_speech.transcript import Segment, Word
from open_speech.voices import ResolvedVoice
from runners.wiring.engine import local_engine
from tests.engines import engine_over

RATE = 1000
TEXT = (
    "The quick brown fox jumps over the lazy dog. In the spring of that year, they took twenty colour photographs of the harbour. "
    "Nobody knew why, but everyone from New York to San Francisco had an opinion."
)


def spoken(seconds: float) -> Audio:
    """Sound with a pause of 0.2 s at its end."""
    return Audio(np.concatenate([np.full(round((seconds - 0.2) * RATE), 0.5, np.float32), silence(0.2, RATE).samples]), RATE)


async def one_word(sound: Audio) -> list[Word]:
    """Hear one word where the sound is not silent."""
    loud = np.flatnonzero(np.abs(sound.samples) > 0.1)
    return [Word(" x", float(loud[0]) / RATE, float(loud[-1]) / RATE)] if len(loud) else []


def run(feed: Callable[[Captioner], Awaitable[list[Segment]]], hear: Callable[[Audio], Awaitable[list[Word]]] = one_word) -> list[Segment]:
    async def both() -> list[Segment]:
        captioner = Captioner(hear)
        try:
            return await feed(captioner)
        finally:
            await captioner.aclose()

    return asyncio.run(both())


def test_each_piece_is_heard_by_itself_and_timed_in_the_whole() -> None:
    async def feed(captioner: Captioner) -> list[Segment]:
        for item in (Cue(0.0, "One"), spoken(1.0), Cue(1.0, "mark", is_mark=True), Cue(1.0, "two"), spoken(2.0)):
            await captioner.feed(item)
        return await captioner.finish()

    assert [(round(w.start, 1), round(w.end, 1), w.text) for s in run(feed) for w in s.words] == [(0.0, 0.8, " One"), (1.0, 2.8, " two")]


def test_a_cue_that_comes_a_little_late_is_moved_back_to_the_pause() -> None:
    async def feed(captioner: Captioner) -> list[Segment]:
        for item in (Cue(0.0, "One"), spoken(1.0), spoken(2.0), Cue(1.25, "two")):
            await captioner.feed(item)
        return await captioner.finish()

    (first, second) = run(feed)
    assert 0.8 < first.end == second.start < 1.0
    assert second.words[0].start == pytest.approx(1.0, abs=0.01)


def test_a_speech_without_words_has_no_captions() -> None:
    async def feed(captioner: Captioner) -> list[Segment]:
        await captioner.feed(spoken(1.0))
        return await captioner.finish()

    assert run(feed) == []


def test_what_the_recogniser_raises_is_raised() -> None:
    async def broken(sound: Audio) -> list[Word]:
        raise BackendFailed("It broke.")

    async def feed(captioner: Captioner) -> list[Segment]:
        await captioner.feed(Cue(0.0, "One"))
        await captioner.feed(spoken(1.0))
        return await captioner.finish()

    with pytest.raises(BackendFailed):
        run(feed, broken)


def test_the_speech_waits_when_too_much_is_to_be_heard() -> None:
    begun = 0

    async def never(sound: Audio) -> list[Word]:
        nonlocal begun
        begun += 1
        await asyncio.sleep(3600)
        return []

    async def feed(captioner: Captioner) -> list[Segment]:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                for n in range(100):
                    await captioner.feed(Cue(float(n), "One"))
                    await captioner.feed(spoken(1.0))
        return []

    run(feed, never)
    assert begun == WAITING + 1


EN, DE, PLAIN = (ModelEntry(name, "ear", Task.STT, "MIT", (name,), word_times=name != "fr") for name in ("en", "de", "fr"))


@pytest.mark.parametrize(("language", "chosen"), [("de-AT", True), ("en", True), ("fr", False), ("it", False)])
def test_a_recogniser_of_the_language_that_tells_word_times_is_needed(language: str, chosen: bool) -> None:
    mouth = ModelEntry("mouth", "mouth", Task.TTS, "MIT", (), voices=(Voice("ann", language),))
    backends = [BackendEntry("ear", Task.STT, "x:X", (), "", "MIT"), BackendEntry("mouth", Task.TTS, "x:X", (), "", "MIT")]
    registry = Registry(backends, [EN, DE, PLAIN, mouth], {"ear": "process"}, Defaults("en", "mouth", "ann"))
    engine = engine_over(registry, {})
    if chosen:
        assert callable(recognizer_for(engine.recognition, registry, ResolvedVoice(mouth, "ann"), "timestamps"))
    else:
        with pytest.raises(UnsupportedValue, match=language) as caught:
            recognizer_for(engine.recognition, registry, ResolvedVoice(mouth, "ann"), "timestamps")
        assert caught.value.param == "timestamps"


@pytest.mark.weights
@pytest.mark.parametrize("model", ["kokoro", "piper/en_US-joe-medium"])
def test_words_of_real_voices_are_where_they_are_heard_in_the_whole(default_weights: None, model: str) -> None:
    """Captions are made piece by piece while it is spoken; they agree with one alignment of the whole afterwards."""
    engine = local_engine(config.load({"OS_OFFLINE": "true"}))

    async def both() -> tuple[list[Word], list[Word]]:
        body = SpeechRequest(model=model, input=TEXT, stream_format="sse", timestamps="word")
        plan = await engine.synthesis.plan(SynthesisRequest(body.model, body.input))
        monitor = SpeechMonitor(body, captioner_for(body, engine, plan.voice))
        speech = await engine.synthesis.perform(plan)
        pcm, words = b"", []
        async for event in monitor.events(encode_stream(monitor.over(speech), "pcm", speech.rate)):
            pcm += base64.b64decode(event.get("audio", ""))
            words += [Word(word["word"], word["start"], word["end"]) for word in event.get("words", ())]
        heard = await engine.recognition.transcribe(
            pcm, RecognitionRequest("whisper-1", TranscribeOptions(language="en", word_times=True), raw_rate=24_000)
        )
        whole = align(TEXT, [word for segment in heard.segments for word in segment.words], monitor.seconds)
        return words, whole

    words, whole = asyncio.run(both())
    assert [word.text for word in words] == TEXT.split()
    apart = [abs(word.start - other.start) for word, other in zip(words, whole, strict=True)]
    assert statistics.median(apart) < 0.05
    assert max(apart) < 0.6
