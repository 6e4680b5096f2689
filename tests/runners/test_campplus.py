"""Live labels on real readers: who speaks, and whether a known voice has its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from open_speech.audio import Audio, silence
from open_speech.backends import STT_RATE, Setup
from open_speech.codecs import decode
from open_speech.errors import BackendFailed
from open_speech.model_rows import read_models
from open_speech.recognition.live.speakers import Print, SessionSpeakers
from open_speech.recognition.live.voice_windows import voice_windows
from open_speech.weights import Store
from runners import catalog
from runners.campplus import CampplusVoices

pytestmark = pytest.mark.weights


def setup(folder: Path) -> Setup:
    (model,) = (model for model in catalog.models() if model.id == "campplus")
    return Setup(model, folder, device="cpu", threads=2)


@pytest.fixture(scope="module")
def voices(model_folder: Callable[[str], Path]) -> CampplusVoices:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    voices = CampplusVoices(setup(model_folder("campplus")))
    voices.load()
    return voices


@pytest.fixture(scope="module")
def austen(weights_root: Path) -> list[Audio]:
    """Five sentences by one reader."""
    (row,) = read_models(Path(__file__).parent / "reader.toml")
    folder = Store(weights_root.parent).pull(row)
    return [decode(folder / file.path, STT_RATE, max_seconds=60) for file in row.files]


@pytest.fixture(scope="module")
def dickens(speech_clips: dict[str, Path]) -> list[Audio]:
    """Five sentences by another."""
    whole = decode(speech_clips["two_cities"], STT_RATE, max_seconds=60).samples
    cuts = [round(second * STT_RATE) for second in (1.0, 7.2, 13.0, 20.0, 27.5, 34.5)]
    return [Audio(whole[start:end], STT_RATE) for start, end in zip(cuts, cuts[1:], strict=False)]


def prints(voices: CampplusVoices, audio: Audio) -> list[Print]:
    windows = voice_windows([(0.0, audio.seconds)])
    found = voices.voiceprints(audio, [(one.start, one.end) for one in windows])
    return [Print(one.start, one.end, voice) for one, voice in zip(windows, found, strict=True)]


def test_two_readers_keep_their_labels_over_a_session(voices: CampplusVoices, austen: list[Audio], dickens: list[Audio]) -> None:
    speakers = SessionSpeakers()
    for one, other in zip(austen, dickens, strict=True):
        assert set(speakers.label(prints(voices, one))) == {"A"}
        assert set(speakers.label(prints(voices, other))) == {"B"}


def test_a_known_reader_has_a_name(voices: CampplusVoices, austen: list[Audio], dickens: list[Audio]) -> None:
    speakers = SessionSpeakers()
    for one in prints(voices, austen[4]):
        speakers.know("Jane", one.voice)
    assert set(speakers.label(prints(voices, dickens[0]))) == {"A"}
    assert set(speakers.label(prints(voices, austen[0]))) == {"Jane"}


def test_nothing_is_computed_before_the_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(BackendFailed):
        CampplusVoices(setup(tmp_path)).voiceprints(silence(1.0, STT_RATE), [])
