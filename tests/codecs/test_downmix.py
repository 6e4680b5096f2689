"""What is heard of several channels. The speech is that of the recordings in tests/data, the faults are added here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from open_speech.codecs import decode as decode_anywhere
from open_speech.codecs import isolation
from open_speech.codecs.blocks import collect
from open_speech.codecs.decode import blocks, decode
from open_speech.codecs.downmix import SECTION_S, Choice, Downmix
from open_speech.codecs.samples import weights
from open_speech.errors import InvalidAudio

DATA = Path(__file__).parent.parent / "data"
RATE = 16_000
STEREO = ("FL", "FR")
SURROUND = ("FL", "FR", "FC", "LFE", "SL", "SR")
Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def speech() -> Samples:
    """Two sentences, 5 s."""
    return collect(blocks(DATA / "antiphase.mp3", RATE, max_seconds=60, channel=0), RATE).samples


@pytest.fixture(scope="module")
def other() -> Samples:
    """The same length of other speech."""
    return decode(DATA / "dtx.webm", RATE, max_seconds=60).samples[round(12.9 * RATE) :][: round(4.96 * RATE)]


def noise(count: int, colour: float = 0.0, level: float = 0.1) -> Samples:
    """Noise whose power falls with frequency to the power of twice `colour`: 0 is white, 0.5 pink, 1 brown."""
    spectrum = np.fft.rfft(np.random.default_rng(7).normal(size=count))
    shaped = np.fft.irfft(spectrum / np.maximum(np.fft.rfftfreq(count, 1 / RATE), 20) ** colour, count)
    return (level * shaped / shaped.std()).astype(np.float32)


def mixed(channels: Samples, names: tuple[str, ...] = STEREO, step: int = 4000) -> Samples:
    mix = Downmix(names, RATE)
    pieces = [piece for at in range(0, channels.shape[1], step) for piece in mix.feed(channels[:, at : at + step])]
    return np.concatenate([*pieces, *mix.flush()])


def likeness(one: Samples, other: Samples) -> float:
    """Cosine of the angle between two signals."""
    return float(abs(one @ other) / np.sqrt((one @ one) * (other @ other)))


def level(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples**2)))


FAULTS: dict[str, Callable[[Samples], Samples]] = {
    "inverted": lambda s: np.stack([s, -s]),
    "inverted and quieter": lambda s: np.stack([s, -0.7 * s]),
    "inverted with an offset": lambda s: np.stack([s + 0.2, -s + 0.2]),
    "inverted over a hum": lambda s: np.stack([s, -s]) + (0.01 * np.sin(np.arange(len(s)) * 2 * np.pi * 50 / RATE)).astype(np.float32),
    "inverted with noise in the first": lambda s: np.stack([s + noise(len(s), level=0.02), -s]),
    "silent right": lambda s: np.stack([s, np.zeros_like(s)]),
    "silent left": lambda s: np.stack([np.zeros_like(s), s]),
    "hiss in the right": lambda s: np.stack([s, noise(len(s), level=0.0005)]),
    "loud white noise in the right": lambda s: np.stack([s, noise(len(s), level=0.2)]),
    "loud pink noise in the left": lambda s: np.stack([noise(len(s), 0.5, level=0.2), s]),
    "loud brown noise in the right": lambda s: np.stack([s, noise(len(s), 1.0, level=0.2)]),
    "a hum in the right": lambda s: np.stack([s, (0.3 * np.sin(np.arange(len(s)) * 2 * np.pi * 50 / RATE)).astype(np.float32)]),
    "bursts of noise in the right": lambda s: np.stack([s, noise(len(s), level=0.2) * (np.arange(len(s)) // 3000 % 3 == 0)]),
    "clicks in the right": lambda s: np.stack([s, np.where(np.arange(len(s)) % 5000 < 8, 0.9, 0)]),
    "the same in both": lambda s: np.stack([s, s]),
    "an offset in one": lambda s: np.stack([s + 0.4, s]),
    "a faint echo in the right": lambda s: np.stack([s, 0.01 * np.roll(s, 800)]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_speech_is_heard_at_its_own_level_whatever_is_wrong_with_a_channel(speech: Samples, fault: str) -> None:
    heard = mixed(FAULTS[fault](speech).astype(np.float32))
    assert likeness(heard, speech) > 0.97
    assert level(heard) == pytest.approx(level(speech), rel=0.3)


@pytest.mark.parametrize("fault", ["inverted", "loud white noise in the right", "silent right", "an offset in one"])
@pytest.mark.parametrize("codec", ["flac", "libopus", "pcm_s16le", "libmp3lame", "aac"])
def test_faults_are_mended_in_files_too(speech: Samples, media: Callable[..., bytes], fault: str, codec: str) -> None:
    channels = np.clip(FAULTS[fault](speech), -0.99, 0.99)
    rate = RATE * 3 if codec in ("libopus", "aac") else RATE
    channels = np.repeat(channels, rate // RATE, axis=1)
    container = {"pcm_s16le": "wav", "flac": "flac"}.get(codec, "matroska")
    heard = decode(media(container, codec, channels, rate, layout="stereo"), RATE, max_seconds=60).samples
    assert level(heard) == pytest.approx(level(speech), rel=0.35)
    count = min(len(heard), len(speech))
    spectrum = np.fft.rfft(heard[:count]) * np.conj(np.fft.rfft(speech[:count]))
    likest = np.abs(np.fft.irfft(spectrum)).max() / np.sqrt((heard @ heard) * (speech @ speech))
    assert likest > 0.9


def test_the_recording_with_an_inverted_channel_is_heard_in_either_process() -> None:
    loud = 0.05
    assert level(decode(DATA / "antiphase.mp3", RATE, max_seconds=60).samples) > loud
    with isolation(memory_mb=128, quiet_s=20):
        assert level(decode_anywhere(DATA / "antiphase.mp3", RATE, max_seconds=60).samples) > loud


def test_two_people_on_two_channels_are_both_heard(speech: Samples, other: Samples) -> None:
    quiet = noise(len(speech), level=0.0005)
    heard = mixed(np.stack([np.concatenate([speech, quiet]), np.concatenate([quiet, other])]))
    assert likeness(heard[: len(speech)], speech) > 0.98
    assert likeness(heard[len(speech) :], other) > 0.98
    assert level(heard[len(speech) :]) == pytest.approx(level(other) / 2, rel=0.1)


@pytest.mark.parametrize("minutes", [0.5, 3])
def test_a_channel_that_is_noise_at_first_is_heard_from_its_first_word_on(speech: Samples, other: Samples, minutes: float) -> None:
    repeats = round(minutes * 60 / 5)
    hiss = noise((repeats + 1) * len(speech), level=0.001)
    hiss[-len(other) :] += other
    heard = mixed(np.stack([np.concatenate([np.tile(speech, repeats), np.zeros_like(speech)]), hiss]))
    assert likeness(heard[-len(other) :], other) > 0.97


def test_the_choice_does_not_alternate(speech: Samples) -> None:
    silent = np.zeros(round(SECTION_S * RATE), np.float32)
    stretch = np.concatenate([speech, speech])[: len(silent)]
    choice = Choice(weights(STEREO), RATE)
    stretches = [np.stack([part, -part]) + noise(len(part), level=0.0002) for part in [stretch, silent, silent, stretch, silent] * 4]
    assert len({tuple(choice.of(one.astype(np.float32))) for one in stretches}) == 1


def test_channels_that_no_longer_cancel_are_mixed_again(speech: Samples, other: Samples) -> None:
    choice = Choice(weights(STEREO), RATE)
    assert sorted(choice.of(np.stack([speech, -speech]))) == [0, 1]
    assert list(choice.of(np.stack([speech, other]))) == [0.5, 0.5]


def test_a_change_of_weights_is_faded(speech: Samples) -> None:
    stretch = round(SECTION_S * RATE)
    tone = (0.3 * np.sin(np.arange(2 * stretch) * 2 * np.pi * 200 / RATE)).astype(np.float32)
    late = np.zeros_like(tone)
    late[stretch:] = np.resize(speech, stretch)
    steps = np.abs(np.diff(mixed(np.stack([tone, late]))[stretch - 100 : stretch + 100]))
    assert steps.max() < 0.1


@pytest.mark.parametrize("step", [1, 777, 160_000, 10**7])
def test_the_mix_does_not_depend_on_how_the_blocks_are_cut(speech: Samples, other: Samples, step: int) -> None:
    count = 5000 if step == 1 else len(other)
    channels = np.stack([speech[:count], other[:count]])
    np.testing.assert_allclose(mixed(channels, step=step), mixed(channels), atol=1e-6)


def test_speech_in_the_centre_of_surround_is_heard_over_noise_and_inverted_sides(speech: Samples) -> None:
    zero = np.zeros_like(speech)
    sides = 0.3 * np.roll(speech, 4000)
    heard = mixed(np.stack([sides, -sides, speech, 0.5 * noise(len(speech), 1.0), zero, noise(len(speech), level=0.05)]), SURROUND)
    assert likeness(heard, speech) > 0.9
    alone = mixed(np.stack([zero, zero, speech, zero, zero, zero]), SURROUND)
    np.testing.assert_allclose(alone, speech, atol=1e-6)


def test_mono_and_audio_without_an_offset_pass_unchanged(speech: Samples) -> None:
    mix = Downmix(("FC",), RATE)
    assert np.shares_memory(next(mix.feed(speech[np.newaxis])), speech)


def test_an_offset_that_comes_later_is_removed_without_a_step(speech: Samples) -> None:
    offset = np.concatenate([np.zeros(5 * RATE), np.full(20 * RATE, 0.3)])
    heard = mixed((np.resize(speech, len(offset)) * 0.1 + offset)[np.newaxis].astype(np.float32), ("FC",), step=2 * RATE)
    assert abs(heard[-5 * RATE :].mean()) < 0.02


def test_one_channel_can_be_taken_alone_and_a_missing_one_is_refused(media: Callable[..., bytes], speech: Samples, other: Samples) -> None:
    file = media("flac", "flac", np.stack([speech, other]), RATE, layout="stereo")
    for index, expected in enumerate((speech, other)):
        got = collect(blocks(file, RATE, max_seconds=60, channel=index), RATE).samples
        np.testing.assert_allclose(got, expected, atol=1e-3)
    with pytest.raises(InvalidAudio) as refused:
        list(blocks(file, RATE, max_seconds=60, channel=2))
    assert "channel 2" in str(refused.value)
