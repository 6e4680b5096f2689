import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_speech.audio import Audio, to_pcm16
from open_speech.codecs import MEDIA_TYPES, decode, decode_pcm16, encoder, file_rate, wav_bytes
from open_speech.config.types import AudioFormat

FORMATS = get_args(AudioFormat)
RATES = (16_000, 22_050, 24_000, 44_100, 48_000)
LOSSLESS = ("flac", "wav", "pcm")
PADDING = {"mp3": 3 * 1152, "aac": 2 * 1024}
"""Samples by which a file may be longer than its sound: these formats have no place to state the encoder's delay in a stream."""


def written(format, audio: Audio, piece_s: float = 0.1) -> bytes:
    file = encoder(format, audio.rate)
    step = max(1, round(piece_s * audio.rate))
    pieces = [file.encode(Audio(audio.samples[i : i + step], audio.rate)) for i in range(0, len(audio.samples), step)]
    return b"".join(pieces) + file.finish()


def read(format, data: bytes, rate: int) -> Audio:
    return decode_pcm16(data, 24_000, rate, max_seconds=60) if format == "pcm" else decode(data, rate, max_seconds=60)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("format", FORMATS)
def test_every_sample_comes_out_of_every_format_at_every_rate(tone, format, rate: int) -> None:
    original = tone(1.513, rate)
    heard = read(format, written(format, original), rate)
    extra = (heard.seconds - original.seconds) * encoder(format, rate).rate
    assert -2 <= extra <= PADDING.get(format, 2)
    start = _delay(original.samples, heard.samples) if format in PADDING else 0
    overlap = heard.samples[start : start + len(original.samples)]
    sound = original.samples[: len(overlap)]
    assert len(overlap) >= len(original.samples) - 2
    error = np.sqrt(np.mean((overlap - sound)[500:-500] ** 2))
    assert error < (0.001 if format in LOSSLESS else 0.03)


def _delay(original: np.ndarray, heard: np.ndarray) -> int:
    size = 1 << (len(heard) + len(original)).bit_length()
    match = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(original, size)))
    return int(np.argmax(match[: len(heard)]))


@pytest.mark.parametrize("format", FORMATS)
def test_the_file_does_not_depend_on_how_the_sound_was_cut(tone, format) -> None:
    original = tone(0.7, 22_050)
    whole = read(format, written(format, original, piece_s=9), 22_050)
    crumbs = read(format, written(format, original, piece_s=0.0031), 22_050)
    assert len(whole.samples) == len(crumbs.samples)
    np.testing.assert_allclose(whole.samples, crumbs.samples, atol=2e-3)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("rate", [22_050, 24_000])
def test_sound_leaves_within_about_a_tenth_of_a_second(tone, format, rate: int) -> None:
    file = encoder(format, rate)
    original = tone(1.0, rate)
    file.encode(Audio(original.samples[:0], rate))  # takes the header out of the way
    step = rate // 100
    needed = next(end for end in range(step, rate, step) if file.encode(Audio(original.samples[end - step : end], rate)))
    assert needed / rate <= 0.125


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_without_sound_is_ended_without_an_error(format) -> None:
    file = encoder(format, 24_000)
    data = file.encode(Audio(np.zeros(0, np.float32), 24_000)) + file.finish()
    assert bool(data) == (format in ("wav", "flac", "opus"))


@pytest.mark.parametrize("format", FORMATS)
def test_one_sample_makes_a_file_that_can_be_read(format) -> None:
    data = written(format, Audio(np.full(1, 0.5, np.float32), 24_000))
    assert len(read(format, data, 24_000).samples) >= 1


@pytest.mark.parametrize("format", FORMATS)
def test_broken_and_loud_samples_do_not_break_the_file(format) -> None:
    samples = np.zeros(24_000, np.float32)
    samples[1000:1005] = np.nan, np.inf, -np.inf, 1e30, -5
    heard = read(format, written(format, Audio(samples, 24_000)), 24_000)
    assert np.isfinite(heard.samples).all()
    assert np.abs(heard.samples[6000:]).max() < 0.05


@pytest.mark.parametrize("format", ["mp3", "aac", "flac"])
def test_a_slice_with_a_stride_is_encoded_like_its_copy(tone, format) -> None:
    every_second = tone(0.5, 48_000).samples[::2]
    assert written(format, Audio(every_second, 24_000), 9) == written(format, Audio(every_second.copy(), 24_000), 9)


def test_each_format_keeps_the_sources_rate_where_it_can() -> None:
    chosen = {format: [encoder(format, rate).rate for rate in (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)] for format in FORMATS}
    own = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000]
    assert chosen["mp3"] == chosen["aac"] == chosen["flac"] == chosen["wav"] == own
    assert chosen["pcm"] == [24_000] * 6
    assert chosen["opus"] == [8_000, 16_000, 24_000, 24_000, 48_000, 48_000]
    assert encoder("mp3", 96_000).rate == 48_000


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("rate", RATES)
def test_the_rate_of_a_file_is_known_without_an_encoder(format, rate: int) -> None:
    assert file_rate(format, rate, pcm_rate=11_025) == encoder(format, rate, pcm_rate=11_025).rate


def test_media_types_are_those_of_openai() -> None:
    assert dict(MEDIA_TYPES) == {
        "mp3": "audio/mpeg", "opus": "audio/opus", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav", "pcm": "audio/pcm",
    }  # fmt: skip
    assert all(encoder(format, 24_000).media_type == MEDIA_TYPES[format] for format in FORMATS)


def test_a_piece_at_another_rate_is_refused() -> None:
    for format in FORMATS:
        with pytest.raises(ValueError, match="16000"):
            encoder(format, 24_000).encode(Audio(np.zeros(10, np.float32), 16_000))


def test_a_streamed_wav_starts_with_its_whole_header_and_holds_exactly_the_samples(tone) -> None:
    original = tone(0.3, 22_050)
    data = written("wav", original)
    assert data[44:] == to_pcm16(original)
    assert data[4:8] == data[40:44] == b"\xff\xff\xff\xff"
    assert data[:4] + data[8:16] + data[36:40] == b"RIFFWAVEfmt data"


def test_compressed_formats_are_smaller_than_wav(tone) -> None:
    original = tone(3.0, 24_000)
    for format in ("mp3", "opus", "aac", "flac"):
        assert len(written(format, original)) < len(wav_bytes(original)) / 2


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=30), st.sampled_from([8_000, 16_000, 22_050, 24_000, 48_000]))
def test_pcm_chopped_anywhere_has_the_length_of_its_sound(lengths: list[int], rate: int) -> None:
    file = encoder("pcm", rate)
    data = b"".join(file.encode(Audio(np.zeros(length, np.float32), rate)) for length in lengths) + file.finish()
    assert len(data) % 2 == 0
    assert math.isclose(len(data) / 2, sum(lengths) * 24_000 / rate, abs_tol=1)
