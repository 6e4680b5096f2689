from __future__ import annotations

import numpy as np
import pytest

from open_speech.webrtc.concealment import FADE_S, Concealer


def tone(hz: float, seconds: float, rate: int = 48_000) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate", [48_000, 8000])
@pytest.mark.parametrize("hz", [90, 133, 220, 350])
def test_a_lost_packet_is_filled_with_the_pitch_before_it(hz: float, rate: int) -> None:
    sound = tone(hz, 0.3, rate)
    lost = rate // 50
    concealer = Concealer(rate)
    concealer.heard(sound[:-lost])
    filled = concealer.gap(lost)
    fade = np.linspace(1, 0, round(FADE_S * rate))[:lost]
    error = np.sqrt(np.mean((filled - sound[-lost:] * fade) ** 2))
    assert error < 0.1 * np.sqrt(np.mean(sound**2))


def test_a_long_gap_fades_to_silence() -> None:
    concealer = Concealer()
    concealer.heard(tone(200, 0.3))
    filled = concealer.gap(48_000)
    assert len(filled) == 48_000
    assert np.abs(filled[: round(FADE_S * 24_000)]).max() > 0.2
    assert not filled[round(FADE_S * 48_000) :].any()
    assert not concealer.gap(960).any()  # the gap goes on


def test_what_follows_a_gap_fades_in_without_a_click() -> None:
    concealer = Concealer()
    concealer.heard(tone(200, 0.3))
    concealer.gap(9600)
    after = concealer.heard(np.ones(960, np.float32))
    assert np.abs(np.diff(np.concatenate([[0.0], after]))).max() < 0.02
    assert after[-1] == 1


def test_without_audio_before_it_a_gap_is_silence() -> None:
    assert not Concealer().gap(960).any()


def test_audio_without_gaps_is_unchanged() -> None:
    concealer, sound = Concealer(), tone(300, 0.1)
    parts = [concealer.heard(part) for part in np.split(sound, 5)]
    assert np.array_equal(np.concatenate(parts), sound)
