"""A text in two scripts, spoken by two models whose sample rates differ."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.backends import ModelEntry, SpeechOptions, Task, Voice
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.fallback import FallbackModels
from open_speech.dispatch.frames import END, SpeakCall, audio_frame, error_frame
from open_speech.engine import Engine
from open_speech.errors import BackendFailed
from open_speech.model_files import WeightFile
from open_speech.recognition.request import RecognitionDefaults
from open_speech.registry import Defaults, Registry
from open_speech.synthesis.cache import SpeechCache
from open_speech.synthesis.legibility import OtherScripts
from open_speech.synthesis.other_models import at_rate
from open_speech.synthesis.plan import SynthesisDefaults, SynthesisRequest
from tests.engines import MOUTH, hear, no_detector
from tests.fake_runner import FakeRunner

TEXT = "The word привет means hello."
LATIN = replace(MOUTH, phonemes=True)
RUSSIAN = replace(MOUTH, name="maw")
ONE = ModelEntry("mouth/one", "mouth", Task.TTS, "MIT", ("en",), voices=(Voice("ann", "en-US"),), default_voice="ann", sample_rate=24_000)
RU = ModelEntry(
    "maw/ru", "maw", Task.TTS, "MIT", ("ru",), voices=(Voice("irina", "ru-RU"),), default_voice="irina", sample_rate=8_000,
    files=(WeightFile("ru.onnx", 1, "0" * 64),),
)  # fmt: skip


class Speaker(FakeRunner):
    """Speaks 0.1 s for each piece at its own rate, and has the files that it is given."""

    def __init__(self, rate: int, *kept: str) -> None:
        self._rate = rate
        self._kept = dict.fromkeys(kept, 1)
        self.asked: list[tuple[str, str]] = []

    async def kept_models(self, question: object) -> dict[str, int]:
        return self._kept

    async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        text, options = call.unpack()
        self.asked.append((options.voice, text))
        yield audio_frame(Audio(np.full(self._rate // 10, 0.25, np.float32), self._rate)).encode()
        yield END.encode()


def engine(latin: Speaker, russian: Speaker, scripts: OtherScripts = "voice", cache: SpeechCache | None = None) -> Engine:
    registry = Registry([LATIN, RUSSIAN], [ONE, RU], {"mouth": "process", "maw": "process"}, Defaults("", "mouth/one", "ann"))
    clients = {name: RunnerClient(name, runner, deadline_s=5) for name, runner in {"mouth": latin, "maw": russian}.items()}
    return Engine(
        registry,
        clients,
        detector=no_detector,
        recognition=RecognitionDefaults(60),
        synthesis=SynthesisDefaults(1000, other_scripts=scripts),
        max_queue=4,
        cache=cache,
    )


def said(engine: Engine, text: str = TEXT) -> tuple[Audio, list[str]]:
    async def run() -> tuple[Audio, list[str]]:
        speech = await engine.synthesis.speak(SynthesisRequest("tts-1", text))
        return await hear(speech), list(speech.warnings)

    return asyncio.run(run())


def test_a_script_is_handed_to_the_model_on_disk_that_reads_it() -> None:
    latin, russian = Speaker(24_000), Speaker(8_000, "maw/ru")
    sound, warnings = said(engine(latin, russian))
    assert latin.asked == [("ann", "The word"), ("ann", "means hello.")]
    assert russian.asked == [("irina", "привет")]
    assert warnings == []
    assert sound.rate == 24_000
    assert sound.seconds == pytest.approx(0.3, abs=0.005)
    assert np.abs(sound.samples).max() < 0.5


def test_the_rate_is_that_of_the_request_even_if_the_other_model_speaks_first() -> None:
    sound, _ = said(engine(Speaker(24_000), Speaker(8_000, "maw/ru")), "Привет, world.")
    assert (sound.rate, sound.seconds) == (24_000, pytest.approx(0.2, abs=0.005))


@pytest.mark.parametrize(("kept", "scripts"), [((), "voice"), (("maw/ru",), "skip")])
def test_without_the_setting_or_the_files_it_is_left_out_with_a_warning(kept: tuple[str, ...], scripts: OtherScripts) -> None:
    latin, russian = Speaker(24_000), Speaker(8_000, *kept)
    _, warnings = said(engine(latin, russian, scripts))
    assert russian.asked == []
    assert warnings == ["Text in Cyrillic was left out: the voice `ann` does not read it."]


def test_each_piece_is_cached_for_its_own_model(tmp_path: Path) -> None:
    latin, russian = Speaker(24_000), Speaker(8_000, "maw/ru")
    cache = SpeechCache(tmp_path, 1 << 30, lambda model: model.id)
    both = engine(latin, russian, cache=cache)
    first, _ = said(both)
    again, _ = said(both)
    cache.close()
    assert (len(latin.asked), len(russian.asked)) == (2, 1)
    assert first.samples.tolist() == again.samples.tolist()


def test_audio_in_chunks_is_resampled_without_a_click() -> None:
    wave = np.sin(np.arange(8_000) * 0.1).astype(np.float32)

    async def chunks(text: str, options: SpeechOptions) -> AsyncGenerator[Audio, None]:
        for at in range(0, 8_000, 1_000):
            yield Audio(wave[at : at + 1_000], 8_000)

    async def run() -> list[Audio]:
        return [audio async for audio in at_rate(chunks, 16_000)("", SpeechOptions(""))]

    found: Any = np.concatenate([audio.samples for audio in asyncio.run(run())])
    assert len(found) == pytest.approx(16_000, abs=2)
    assert np.abs(found[100:-100] - np.interp(np.arange(100, len(found) - 100) / 2, np.arange(8_000), wave)).max() < 0.01


def test_a_fallback_model_takes_over_streamed_ssml_and_hands_its_other_script_on() -> None:
    class Broken(Speaker):
        async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
            self.asked.append(("", call.text))
            yield error_frame(BackendFailed("broken")).encode()

    broken, latin, russian = Broken(24_000), Speaker(24_000), Speaker(8_000, "maw/ru")
    bad = replace(ONE, id="bad/one", backend="bad")
    registry = Registry(
        [replace(LATIN, name="bad"), LATIN, RUSSIAN], [bad, ONE, RU], dict.fromkeys(("bad", "mouth", "maw"), "process"),
        Defaults("", "bad/one", "ann"),
    )  # fmt: skip
    runners = {"bad": broken, "mouth": latin, "maw": russian}
    three = Engine(
        registry,
        {name: RunnerClient(name, runner, deadline_s=5) for name, runner in runners.items()},
        detector=no_detector,
        recognition=RecognitionDefaults(60),
        synthesis=SynthesisDefaults(1000, other_scripts="voice"),
        max_queue=4,
        tts_fallback=FallbackModels(("mouth/one",)),
    )

    async def fragments() -> AsyncGenerator[str | None, None]:
        for piece in ("<spe", "ak>The word при", "вет means <emphasis>hello.</emphasis></speak>"):
            yield piece

    async def run() -> Audio:
        return await hear(await three.synthesis.speak_stream(SynthesisRequest("tts-1"), fragments()))

    sound = asyncio.run(run())
    assert broken.asked
    assert " ".join(text for _, text in latin.asked) == "The word means hello."
    assert russian.asked == [("irina", "привет")]
    assert (sound.rate, sound.seconds) == (24_000, pytest.approx(0.1 * (len(latin.asked) + 1), abs=0.01))
