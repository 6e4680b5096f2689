import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.codecs import Stretcher, stretch
from open_speech.errors import OutOfRange

RATE = 24_000


def hum(seconds: float, hertz: float = 440.0) -> Audio:
    t = np.arange(round(seconds * RATE)) / RATE
    return Audio((0.4 * np.sin(2 * np.pi * hertz * t)).astype(np.float32), RATE)


def pitch(audio: Audio) -> float:
    spectrum = np.abs(np.fft.rfft(audio.samples * np.hanning(len(audio.samples))))
    return float(np.argmax(spectrum)) * audio.rate / len(audio.samples)


@pytest.mark.parametrize("factor", [0.25, 0.4, 0.5, 0.8, 1.25, 2.0, 2.5, 4.0])
def test_the_tempo_changes_exactly_and_the_pitch_stays(factor: float) -> None:
    stretched = stretch(hum(3.0), factor)
    assert len(stretched.samples) == round(3.0 * RATE / factor)
    assert pitch(stretched) == pytest.approx(440, abs=4)


@pytest.mark.parametrize("factor", [0.25, 0.6, 1.5, 4.0])
def test_the_last_sound_is_not_lost(factor: float) -> None:
    audio = Audio(np.concatenate([np.zeros(2 * RATE, np.float32), hum(0.3).samples]), RATE)
    end = stretch(audio, factor).samples[-round(0.2 * RATE / factor) :]
    assert np.sqrt(np.mean(end**2)) > 0.2


@pytest.mark.parametrize("factor", [0.25, 0.9, 1.7, 4.0])
def test_a_stream_of_crumbs_is_as_long_as_the_whole(factor: float) -> None:
    whole = hum(1.3)
    stretcher = Stretcher(RATE, factor)
    parts = [stretcher.feed(Audio(whole.samples[i : i + 311], RATE)).samples for i in range(0, len(whole.samples), 311)]
    parts.append(stretcher.feed(Audio(np.zeros(0, np.float32), RATE), last=True).samples)
    joined = np.concatenate(parts)
    assert len(joined) == pytest.approx(len(whole.samples) / factor, rel=0.01)
    assert sum(map(len, parts[:-1])) > len(joined) / 2
    assert pitch(Audio(joined, RATE)) == pytest.approx(440, abs=4)


@pytest.mark.parametrize("samples", [0, 1, 100, 2000])
def test_very_short_sounds_have_the_right_length_too(samples: int) -> None:
    for factor in (0.25, 0.5, 3.0):
        assert len(stretch(Audio(np.full(samples, 0.1, np.float32), RATE), factor).samples) == round(samples / factor)


def test_factor_one_changes_nothing() -> None:
    audio = hum(0.5)
    np.testing.assert_array_equal(stretch(audio, 1.0).samples, audio.samples)


@pytest.mark.parametrize("factor", [0.0, 0.24, 4.01, -1.0, float("nan"), float("inf")])
def test_a_factor_out_of_range_is_refused(factor: float) -> None:
    with pytest.raises(OutOfRange) as refused:
        Stretcher(RATE, factor)
    assert refused.value.param == "speed"


def test_a_piece_at_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="16000"):
        Stretcher(RATE, 2.0).feed(Audio(np.zeros(10, np.float32), 16_000))
