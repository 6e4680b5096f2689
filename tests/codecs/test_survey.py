from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from open_speech.codecs import isolation, survey, wav_bytes
from open_speech.codecs.blocks import collect
from open_speech.codecs.decode import blocks, decode
from open_speech.codecs.survey import SURVEY_S, Survey, Surveyor
from open_speech.errors import AudioTooLong, InvalidAudio

DATA = Path(__file__).parent.parent / "data"
RATE = 16_000
Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def voices() -> list[Samples]:
    """Three passages of 4.9 s that hold the same two sentences."""
    one = collect(blocks(DATA / "antiphase.mp3", RATE, max_seconds=60, channel=0), RATE).samples
    call = decode(DATA / "dtx.webm", RATE, max_seconds=60).samples
    return [passage[: round(4.9 * RATE)] for passage in (one, call[round(12.95 * RATE) :], call)]


def call(voices: list[Samples], rounds: int = 3) -> Samples:
    """Two who take turns, each on a channel."""
    silent = np.zeros_like(voices[0])
    return np.concatenate([np.stack([voices[0], silent]), np.stack([silent, voices[1]])] * rounds, axis=1)


def alone(voices: list[Samples], rounds: int) -> Samples:
    passage = np.tile(voices[0], rounds)
    return np.stack([passage, np.zeros_like(passage)])


def hiss(channels: Samples, level: float = 0.002) -> Samples:
    return (channels + level * np.random.default_rng(5).normal(size=channels.shape)).astype(np.float32)


def room(channels: Samples) -> Samples:
    """What two microphones in one room hear."""
    dice = np.random.default_rng(6)

    def heard(source: Samples) -> Samples:
        echo = dice.normal(size=3000) * np.exp(-np.arange(3000) / 1200)
        echo[0] = 6
        return np.convolve(source, echo / np.sqrt(np.square(echo).sum()))[: len(source)]

    return np.stack([heard(channels[0]) + heard(channels[1]) for _ in range(2)])


def surveyed(channels: Samples, step: int = 5000) -> Survey:
    surveyor = Surveyor(("FL", "FR") if len(channels) == 2 else ("FL", "FR", "FC", "LFE", "SL", "SR")[: len(channels)], RATE)
    for at in range(0, channels.shape[1], step):
        assert all(not len(piece) for piece in surveyor.feed(channels[:, at : at + step]))
    return surveyor.survey()


DIFFERENT: dict[str, Callable[[list[Samples]], Samples]] = {
    "turns": call,
    "turns with noise": lambda voices: hiss(call(voices), 0.004),
    "turns with the other 30 dB down": lambda voices: hiss(call(voices) + 0.03 * call(voices)[::-1]),
    "turns with the other 20 dB down": lambda voices: hiss(call(voices) + 0.1 * call(voices)[::-1]),
    "both at once": lambda voices: np.stack([np.tile(voices[0], 4), np.roll(np.tile(voices[1], 4), 27_000)]),
    "one who says little": lambda voices: np.concatenate([call(voices, 1), alone(voices, 5)], axis=1),
    "a turn that comes late": lambda voices: np.concatenate([alone(voices, 20), call(voices, 1)], axis=1),
    "an offset on one": lambda voices: call(voices) + np.array([[0.3], [0.0]]),
}
SAME: dict[str, Callable[[list[Samples]], Samples]] = {
    "copies": lambda voices: np.stack([voices[0], voices[0]]),
    "copies with noise": lambda voices: hiss(np.stack([voices[0], voices[0]]), 0.004),
    "inverted": lambda voices: np.stack([voices[0], -voices[0]]),
    "one is silent": lambda voices: np.stack([voices[0], np.zeros_like(voices[0])]),
    "one is noise": lambda voices: hiss(np.stack([voices[0], np.zeros_like(voices[0])]), 0.05),
    "one is a faint echo": lambda voices: np.stack([voices[0], 0.01 * np.roll(voices[0], 3000)]),
    "two in one room": lambda voices: hiss(room(call(voices))),
    "panned": lambda voices: call(voices) + 0.5 * call(voices)[::-1],
    "later on the right": lambda voices: np.stack([voices[0], np.roll(voices[0], 400)]),
    "nobody": lambda voices: hiss(np.zeros((2, 10 * RATE))),
    "silence": lambda voices: np.zeros((2, 10 * RATE), np.float32),
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_different_speech_is_told_from_one_recording(voices: list[Samples], kind: str) -> None:
    assert surveyed(DIFFERENT[kind](voices).astype(np.float32)) == Survey(2, differ=True)


@pytest.mark.parametrize("kind", SAME)
def test_one_recording_in_two_channels_stays_one(voices: list[Samples], kind: str) -> None:
    assert surveyed(SAME[kind](voices).astype(np.float32)) == Survey(2, differ=False)


def test_only_two_channels_are_compared(voices: list[Samples]) -> None:
    assert surveyed(call(voices)[:1]) == Survey(1, differ=False)
    assert surveyed(np.concatenate([call(voices)] * 3)) == Survey(6, differ=False)


def test_the_survey_does_not_depend_on_how_the_blocks_are_cut(voices: list[Samples]) -> None:
    assert {surveyed(call(voices), step) for step in (777, 160_000, 10**7)} == {Survey(2, differ=True)}


def test_a_long_file_is_not_looked_at_to_its_end() -> None:
    surveyor = Surveyor(("FL", "FR"), 1000)
    fed = 0.0
    while not surveyor.is_done:
        list(surveyor.feed(np.zeros((2, 5000), np.float32)))
        fed += 5
    assert fed == pytest.approx(SURVEY_S, abs=15)


@pytest.mark.parametrize(
    ("container", "codec", "rate"), [("flac", "flac", RATE), ("wav", "pcm_s16le", RATE), ("matroska", "libopus", 48_000)]
)
def test_files_are_surveyed_in_either_process(
    voices: list[Samples], media: Callable[..., bytes], container: str, codec: str, rate: int
) -> None:
    channels = np.repeat(call(voices), rate // RATE, axis=1)
    file = media(container, codec, channels, rate, layout="stereo")
    assert survey(file, max_seconds=60) == Survey(2, differ=True)
    with isolation(memory_mb=128, quiet_s=20):
        assert survey(file, max_seconds=60) == Survey(2, differ=True)
        for bad in (b"no media", file[:30]):
            with pytest.raises(InvalidAudio):
                survey(bad, max_seconds=60)


def test_a_file_that_states_to_be_too_long_is_refused_here_too(voices: list[Samples], media: Callable[..., bytes]) -> None:
    file = media("flac", "flac", call(voices), RATE, layout="stereo")
    with pytest.raises(AudioTooLong):
        survey(file, max_seconds=5)


def test_mono_is_one_channel(tone: Callable[..., object]) -> None:
    assert survey(wav_bytes(tone(1.0, RATE)), max_seconds=60) == Survey(1, differ=False)  # type: ignore[arg-type]
