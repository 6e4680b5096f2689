"""What every diarizer must do, whatever its engine: each one of the catalog in turn, skipped by name where it is not installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from open_speech.audio import Audio, concat, silence
from open_speech.backends import STT_RATE, DiarizeOptions, Diarizer, ModelEntry, Setup, Task, Turn
from open_speech.codecs import decode
from open_speech.errors import OutOfRange
from open_speech.weights import Store
from runners import catalog

pytestmark = [
    pytest.mark.weights,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ImportWarning"),  # of the engines' own dependencies
]
MODELS = [pytest.param(model, id=model.id) for model in catalog.models() if model.task is Task.DIARIZE]


@pytest.fixture(scope="module", params=MODELS)
def diarizer(request: pytest.FixtureRequest, weights_root: Path) -> Iterator[Diarizer]:
    """A diarizer of the catalog, loaded once."""
    model: ModelEntry = request.param
    backend = next(entry for entry in catalog.BACKENDS if entry.name == model.backend)
    store = Store(weights_root, offline=True)
    if not catalog.installed(backend):
        pytest.skip(f"{model.id} needs open-speech[{backend.extra}]")
    if not store.is_complete(model):
        pytest.skip(f"{model.id} is not in the models folder: open-speech models pull {model.id}")
    module, _, name = backend.target.partition(":")
    instance: Diarizer = getattr(importlib.import_module(module), name)(Setup(model, store.folder(model), device="cpu", threads=2))
    instance.load()
    yield instance


@pytest.fixture(scope="module")
def speech(speech_clips: dict[str, Path]) -> Audio:
    return decode(speech_clips["beckett"], STT_RATE, max_seconds=60)


def turns_of(diarizer: Diarizer, audio: Audio, options: DiarizeOptions | None = None) -> list[Turn]:
    """Diarize, and check what holds for every answer."""
    turns = diarizer.diarize(audio, options or DiarizeOptions())
    times = [0.0, *(time for turn in turns for time in (turn.start, turn.end)), audio.seconds + 0.05]
    assert times == sorted(times)
    assert all(turn.end > turn.start and turn.speaker for turn in turns)
    return turns


@pytest.mark.parametrize("count", [0, 1, 160, STT_RATE // 5, STT_RATE])
@pytest.mark.parametrize("value", [0.0, 0.3, 3.0])
def test_hardly_any_audio_has_no_turns(diarizer: Diarizer, count: int, value: float) -> None:
    assert turns_of(diarizer, Audio(np.full(count, value, np.float32), STT_RATE)) == []


def test_noise_has_no_turns(diarizer: Diarizer) -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, 5 * STT_RATE).astype(np.float32)
    assert turns_of(diarizer, Audio(noise, STT_RATE)) == []


def test_samples_that_are_no_sound_do_not_fail(diarizer: Diarizer, speech: Audio) -> None:
    broken = speech.samples * 4
    broken[::1000] = np.nan
    turns_of(diarizer, Audio(broken, STT_RATE))


def test_one_voice_is_one_speaker_called_a(diarizer: Diarizer, speech: Audio) -> None:
    turns = turns_of(diarizer, speech)
    assert {turn.speaker for turn in turns} == {"A"}
    assert 0.3 * speech.seconds < sum(turn.end - turn.start for turn in turns) < speech.seconds


def test_silence_before_the_speech_moves_its_turns(diarizer: Diarizer, speech: Audio) -> None:
    plain = turns_of(diarizer, speech)
    late = turns_of(diarizer, concat([silence(3.0, STT_RATE), speech], STT_RATE))
    assert late[0].start == pytest.approx(plain[0].start + 3.0, abs=0.3)
    assert late[-1].end == pytest.approx(plain[-1].end + 3.0, abs=0.3)


def test_a_voice_that_is_known_gets_its_name(diarizer: Diarizer, speech: Audio) -> None:
    half = len(speech.samples) // 2
    reference = Audio(speech.samples[half:], STT_RATE)
    turns = turns_of(diarizer, Audio(speech.samples[:half], STT_RATE), DiarizeOptions(references=(("Sam", reference),)))
    assert {turn.speaker for turn in turns} == {"Sam"}


@pytest.mark.parametrize(("fewest", "most", "field"), [(0, None, "min_speakers"), (None, 0, "max_speakers"), (3, 2, "max_speakers")])
def test_limits_that_cannot_be_kept_are_refused(
    diarizer: Diarizer, speech: Audio, fewest: int | None, most: int | None, field: str
) -> None:
    with pytest.raises(OutOfRange) as refused:
        diarizer.diarize(speech, DiarizeOptions(fewest, most))
    assert refused.value.param == field
