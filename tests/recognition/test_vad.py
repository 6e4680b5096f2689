from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech import config
from open_speech.codecs import decode
from open_speech.recognition.vad import FRAME, VAD_RATE, SpeechModel, SpeechProbabilities
from open_speech.weights import Store
from runners.wiring.factories import speech_model
from runners.wiring.speech_detector import detector_file


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    if importlib.util.find_spec("faster_whisper") is None:
        pytest.skip("faster-whisper, which ships the detector, is not installed")
    return speech_model(config.load({"OS_OFFLINE": "true"}))()


def test_silence_and_noise_are_not_speech(model: SpeechModel) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, VAD_RATE * 3).astype(np.float32)
    for sound in (np.zeros(VAD_RATE * 3, np.float32), noise):
        assert model.stream().feed(sound).max() < 0.5


def test_each_frame_has_a_probability_and_the_last_one_is_filled_up(model: SpeechModel) -> None:
    stream = model.stream()
    assert len(stream.feed(np.zeros(FRAME * 3 + 1, np.float32))) == 3
    assert len(stream.feed(np.zeros(FRAME - 2, np.float32))) == 0
    assert len(stream.feed(np.zeros(0, np.float32), last=True)) == 1
    assert len(model.stream().feed(np.zeros(0, np.float32), last=True)) == 0


@pytest.mark.parametrize("step", [160, 511, 512, 5000])
def test_however_the_audio_comes_its_probabilities_are_the_same(model: SpeechModel, step: int) -> None:
    sound = (np.sin(np.arange(VAD_RATE * 2) / 20) * np.linspace(0, 0.5, VAD_RATE * 2)).astype(np.float32)
    whole = model.stream().feed(sound, last=True)
    stream = model.stream()
    pieces = [stream.feed(sound[start : start + step]) for start in range(0, len(sound), step)]
    pieces.append(stream.feed(np.zeros(0, np.float32), last=True))
    assert np.allclose(np.concatenate(pieces), whole, atol=1e-4)


class Counted:
    """The network, which counts the frames that it is shown."""

    def __init__(self, model: SpeechModel) -> None:
        self._session = model._session
        self.frames = 0

    def run(self, names: None, inputs: dict[str, Any]) -> Any:
        self.frames += len(inputs["input"])
        return self._session.run(names, inputs)


def test_an_hour_of_digital_silence_costs_no_more_than_a_second(model: SpeechModel) -> None:
    counted = Counted(model)
    stream = SpeechProbabilities(counted)  # type: ignore[arg-type]
    for _ in range(360):
        assert stream.feed(np.zeros(VAD_RATE * 10, np.float32)).max() < 0.1
    assert counted.frames < 40


@pytest.mark.parametrize("step", [300, 512, 5000])
def test_digital_silence_within_audio_is_left_out_however_it_comes(model: SpeechModel, step: int) -> None:
    tone = (0.3 * np.sin(np.arange(VAD_RATE) / 20)).astype(np.float32)
    sound = np.concatenate([tone, np.zeros(VAD_RATE * 4, np.float32), tone, np.zeros(VAD_RATE // 2, np.float32), tone])
    whole = model.stream().feed(sound, last=True)
    stream = model.stream()
    pieces = [stream.feed(sound[start : start + step]) for start in range(0, len(sound), step)]
    pieces.append(stream.feed(np.zeros(0, np.float32), last=True))
    assert np.allclose(np.concatenate(pieces), whole, atol=1e-4)


@pytest.mark.weights
def test_speech_after_long_silence_is_found_as_after_a_short_one(model: SpeechModel, speech_clips: dict[str, Path]) -> None:
    sound = decode(speech_clips["beckett"], VAD_RATE, max_seconds=60).samples
    after_short, after_long = (
        model.stream().feed(np.concatenate([np.zeros(FRAME * frames, np.float32), sound]), last=True)[frames:] for frames in (32, 4000)
    )
    assert np.allclose(after_short, after_long, atol=0.02)


@pytest.mark.weights
def test_real_speech_is_found_where_it_is(model: SpeechModel, speech_clips: dict[str, Path]) -> None:
    sound = decode(speech_clips["beckett"], VAD_RATE, max_seconds=60)
    speech = model.stream().feed(sound.samples, last=True) > 0.5
    assert 0.3 < speech.mean() < 0.8, "six short sentences with pauses"
    assert not speech[-10:].any()


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("clip", ["beckett", "two_cities"])
def test_its_makers_package_finds_the_same_in_each_frame(
    model: SpeechModel, speech_clips: dict[str, Path], clip: str, record_property: Callable[[str, object], None]
) -> None:
    """The package runs its network in torch, one frame after the other; we run it in onnxruntime, from the package's file."""
    theirs = pytest.importorskip("silero_vad", reason="needs silero-vad, which brings torch: the server uses neither")
    torch = pytest.importorskip("torch", reason="needs torch")
    if "silero_vad" not in detector_file(Store(config.load().models_dir, offline=True)).parts:
        pytest.skip("the installed release of silero-vad has another network than the catalog: 6.2.3 has the same")
    samples = decode(speech_clips[clip], VAD_RATE, max_seconds=60).samples
    found = model.stream().feed(samples, last=True)
    network = theirs.load_silero_vad()
    frames = np.pad(samples, (0, len(found) * FRAME - len(samples))).reshape(-1, FRAME)
    with torch.no_grad():
        expected = np.array([network(torch.from_numpy(frame), VAD_RATE).item() for frame in frames])
    difference = np.abs(found - expected)
    record_property("frames", len(frames))
    record_property("largest difference", f"{difference.max():.2e}")
    assert difference.max() < 1e-4  # measured: 2.5e-6
    assert ((found > 0.5) == (expected > 0.5)).all()


def test_the_detector_is_opened_once(model: SpeechModel) -> None:
    opened: Callable[[], SpeechModel] = speech_model(config.load({"OS_OFFLINE": "true"}))
    assert opened() is opened()
