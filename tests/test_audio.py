import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.audio import Audio, StreamResampler, concat, from_pcm16, resample, silence, to_pcm16
from open_speech.errors import InvalidAudio


def hum(seconds: float, rate: int, hertz: float = 440.0) -> Audio:
    t = np.arange(round(seconds * rate)) / rate
    return Audio((0.5 * np.sin(2 * np.pi * hertz * t)).astype(np.float32), rate)


def test_all_16_bit_samples_survive_the_round_trip() -> None:
    data = np.arange(-32768, 32768).astype("<i2").tobytes()
    assert to_pcm16(from_pcm16(data, 16_000)) == data


@given(st.binary(max_size=300))
def test_any_whole_samples_survive_and_half_a_sample_is_refused(data: bytes) -> None:
    if len(data) % 2:
        with pytest.raises(InvalidAudio):
            from_pcm16(data, 8000)
    else:
        assert to_pcm16(from_pcm16(data, 8000)) == data


def test_samples_beyond_full_scale_are_clipped_and_nan_is_silence() -> None:
    audio = Audio(np.array([1.0, 5.0, -1.0, -5.0, np.nan, np.inf, -np.inf], np.float32), 8000)
    assert np.frombuffer(to_pcm16(audio), "<i2").tolist() == [32767, 32767, -32768, -32768, 0, 32767, -32768]


def test_duration_is_in_seconds() -> None:
    assert silence(1.5, 8000).seconds == 1.5
    assert not silence(1.5, 8000).samples.any()


def test_audio_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        silence(1, 8000).rate = 9000  # type: ignore[misc]


@pytest.mark.parametrize(("source", "target"), [(48_000, 16_000), (16_000, 24_000), (22_050, 24_000), (44_100, 16_000), (8_000, 48_000)])
def test_resampling_keeps_the_duration_and_the_sound(source: int, target: int) -> None:
    out = resample(hum(1.0, source), target)
    assert (out.rate, out.samples.dtype) == (target, np.float32)
    assert len(out.samples) == pytest.approx(target, abs=1)
    expected = hum(1.0, target).samples[: len(out.samples)]
    middle = slice(target // 10, -target // 10)
    np.testing.assert_allclose(out.samples[: len(expected)][middle], expected[middle], atol=0.003)


def test_resampling_to_the_same_rate_costs_nothing() -> None:
    audio = hum(0.1, 16_000)
    assert resample(audio, 16_000) is audio


@pytest.mark.parametrize("step", [1, 37, 960, 100_000])
def test_a_stream_resampled_piece_by_piece_is_the_whole(step: int) -> None:
    whole = hum(0.2, 22_050)
    stream = StreamResampler(22_050, 24_000)
    parts = [stream.feed(Audio(whole.samples[i : i + step], 22_050)).samples for i in range(0, len(whole.samples), step)]
    parts.append(stream.feed(silence(0, 22_050), last=True).samples)
    np.testing.assert_allclose(np.concatenate(parts), resample(whole, 24_000).samples, atol=1e-4)


def test_a_stream_at_one_rate_passes_through() -> None:
    piece = hum(0.1, 8000)
    assert StreamResampler(8000, 8000).feed(piece) is piece


def test_a_piece_at_another_rate_than_its_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="8000"):
        StreamResampler(16_000, 24_000).feed(silence(0.1, 8000))


def test_parts_are_joined_at_one_rate() -> None:
    joined = concat([silence(0.5, 8000), hum(0.5, 16_000)], 16_000)
    assert (joined.rate, len(joined.samples)) == (16_000, 16_000)
    assert len(concat([], 8000).samples) == 0
