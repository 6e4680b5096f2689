from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from open_speech.audio import Audio, silence
from open_speech.recognition.denoise import (
    BLOCK_S,
    MOST_GAIN_DB,
    QUIET_DB,
    STRETCH_S,
    TARGET_DB,
    Cleaning,
    clean,
    clean_blocks,
    reduce_noise,
    speech_db,
)

RATE = 16_000
LOUDER = Cleaning(noise_reduce=False, normalize=True)
BOTH = Cleaning(noise_reduce=True, normalize=True)


def murmur(seconds: float, level: float, rate: int = RATE) -> Audio:
    """Something with speech's rhythm: noise in bursts of 0.2 s with pauses, its bursts at `level` dB."""
    at = np.arange(round(seconds * rate))
    bursts = (at // (rate // 5) % 2 == 0) * np.random.default_rng(1).standard_normal(len(at))
    return Audio((bursts * 10 ** (level / 20)).astype(np.float32), rate)


def decibels(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.square(samples).mean()))


def test_nothing_asked_for_is_nothing_done() -> None:
    quiet = murmur(1, -60)
    assert clean(quiet, Cleaning(noise_reduce=False, normalize=False)) is quiet


def test_ordinary_speech_passes_untouched_and_uncopied() -> None:
    spoken = murmur(3, QUIET_DB + 1)
    assert clean(spoken, LOUDER) is spoken


@pytest.mark.parametrize("level", [QUIET_DB - 2, -50.0, -60.0, -70.0])
def test_a_quiet_recording_comes_to_the_target_level(level: float) -> None:
    louder = clean(murmur(3, level), LOUDER)
    assert speech_db(louder) == pytest.approx(TARGET_DB, abs=1)


def test_what_is_hardly_there_gets_no_more_than_the_greatest_gain() -> None:
    faint = murmur(1, -90)
    assert speech_db(clean(faint, LOUDER)) - speech_db(faint) == pytest.approx(MOST_GAIN_DB, abs=0.1)


def test_pauses_do_not_hide_how_loud_the_speech_is() -> None:
    spoken = murmur(4, -30)
    with_pauses = Audio(np.concatenate([spoken.samples, np.zeros(30 * RATE, np.float32)]), RATE)
    assert speech_db(with_pauses) == pytest.approx(speech_db(spoken), abs=1.5)


def test_a_click_neither_stops_the_gain_nor_leaves_the_range() -> None:
    quiet = murmur(10, -50)
    quiet.samples[RATE] = 1.0
    louder = clean(quiet, LOUDER)
    assert speech_db(louder) == pytest.approx(TARGET_DB, abs=1)
    assert np.abs(louder.samples).max() == 1.0


@pytest.mark.parametrize("audio", [silence(0, RATE), silence(0.001, RATE), silence(2, RATE)], ids=["none", "less than a frame", "digital"])
def test_silence_stays_silence(audio: Audio) -> None:
    cleaned = clean(audio, BOTH)
    assert cleaned.rate == audio.rate
    np.testing.assert_array_equal(cleaned.samples, audio.samples)


def test_steady_noise_becomes_less_and_the_tone_in_it_stays() -> None:
    at = np.arange(6 * RATE) / RATE
    tone = np.where((at > 2) & (at < 4), 0.3 * np.sin(2 * np.pi * 440 * at), 0)
    noisy = Audio((tone + 0.02 * np.random.default_rng(2).standard_normal(len(at))).astype(np.float32), RATE)
    cleaned = reduce_noise(noisy)
    pause, during = slice(5 * RATE, 6 * RATE), slice(3 * RATE, round(3.9 * RATE))
    assert decibels(cleaned.samples[pause]) < decibels(noisy.samples[pause]) - 6
    assert decibels(cleaned.samples[during]) == pytest.approx(decibels(noisy.samples[during]), abs=1)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_noise_reduction_moves_nothing_in_time(rate: int) -> None:
    audio = murmur(BLOCK_S + 1.7, -20, rate)
    cleaned = reduce_noise(audio)
    assert len(cleaned.samples) == len(audio.samples)
    spectrum = np.fft.rfft(cleaned.samples, 2 * len(audio.samples)) * np.conj(np.fft.rfft(audio.samples, 2 * len(audio.samples)))
    assert np.argmax(np.fft.irfft(spectrum)) == 0


@pytest.mark.parametrize("how", [Cleaning(noise_reduce=True, normalize=False), LOUDER, BOTH])
def test_the_recording_itself_is_not_changed(how: Cleaning) -> None:
    audio = murmur(2, -50)
    before = audio.samples.copy()
    audio.samples.flags.writeable = False
    assert clean(audio, how) is not audio
    np.testing.assert_array_equal(audio.samples, before)


def test_two_minutes_need_no_more_memory_than_the_results_and_some_blocks() -> None:
    audio = murmur(120, -50)
    tracemalloc.start()
    clean(audio, BOTH)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * audio.samples.nbytes + 8 * BLOCK_S * RATE * 4


@pytest.mark.parametrize("level", [-70.0, -50.0])
def test_a_quiet_room_in_which_nobody_speaks_stays_quiet(level: float) -> None:
    room = Audio((10 ** (level / 20) * np.random.default_rng(3).standard_normal(5 * RATE)).astype(np.float32), RATE)
    assert clean(room, LOUDER) is room


def pieces(audio: Audio, seconds: float = 1.3) -> Iterator[Audio]:
    size = round(seconds * audio.rate)
    return (Audio(audio.samples[start : start + size], audio.rate) for start in range(0, len(audio.samples), size))


@pytest.mark.parametrize("how", [Cleaning(noise_reduce=False, normalize=False), LOUDER, BOTH])
def test_a_stream_comes_out_as_long_as_it_went_in(how: Cleaning) -> None:
    audio = murmur(2 * STRETCH_S + 7, -50)
    assert sum(len(piece.samples) for piece in clean_blocks(pieces(audio), how)) == len(audio.samples)


def test_a_short_stream_is_cleaned_as_a_whole_recording_is() -> None:
    audio = murmur(STRETCH_S - 5, -50)
    (cleaned,) = clean_blocks(pieces(audio), BOTH)
    np.testing.assert_array_equal(cleaned.samples, clean(audio, BOTH).samples)


def test_a_stream_gives_its_first_part_before_it_has_read_the_rest() -> None:
    taken: list[int] = []

    def endless() -> Iterator[Audio]:
        while True:
            taken.append(1)
            yield silence(1, RATE)

    assert next(iter(clean_blocks(endless(), BOTH))).seconds == STRETCH_S
    assert len(taken) == STRETCH_S


def test_quiet_sounds_after_ordinary_speech_are_not_made_louder() -> None:
    spoken, steps = murmur(STRETCH_S, -25), murmur(STRETCH_S, -60)
    first, second = clean_blocks([spoken, steps], LOUDER)
    np.testing.assert_array_equal(first.samples, spoken.samples)
    np.testing.assert_array_equal(second.samples, steps.samples)
