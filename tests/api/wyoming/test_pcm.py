from __future__ import annotations

import numpy as np
import pytest

from open_speech.api.wyoming.pcm import PcmFormat, PcmReader
from open_speech.errors import OutOfRange

WAVE = np.array([-1.0, -0.5, 0.0, 0.25, 0.5])
WRITTEN = {
    1: (WAVE * 128 + 128).astype(np.uint8).tobytes(),
    2: (WAVE * (1 << 15)).astype("<i2").tobytes(),
    3: b"".join(int(value * (1 << 23)).to_bytes(3, "little", signed=True) for value in WAVE),
    4: (WAVE * (1 << 31)).astype("<i4").tobytes(),
}


@pytest.mark.parametrize("width", WRITTEN)
def test_every_width_says_the_same(width: int) -> None:
    audio = PcmReader(PcmFormat(48_000, width, 1)).feed(WRITTEN[width])
    assert audio.rate == 48_000
    assert audio.samples.dtype == np.float32
    assert audio.samples.tolist() == WAVE.tolist()


def test_channels_become_their_mean() -> None:
    stereo = np.array([[0.5, -0.5], [0.25, 0.75], [-1, -1]])
    audio = PcmReader(PcmFormat(48_000, 2, 2)).feed((stereo * (1 << 15)).astype("<i2").tobytes())
    assert audio.samples.tolist() == [0.0, 0.5, -1.0]


@pytest.mark.parametrize("width", WRITTEN)
@pytest.mark.parametrize("step", [1, 2, 5, 7])
def test_a_cut_through_a_sample_loses_nothing(width: int, step: int) -> None:
    data = WRITTEN[width] * 4
    reader = PcmReader(PcmFormat(16_000, width, 2))
    parts = [reader.feed(data[at : at + step]).samples for at in range(0, len(data), step)]
    whole = PcmReader(PcmFormat(16_000, width, 2)).feed(data).samples
    assert np.concatenate(parts).tolist() == whole.tolist()


@pytest.mark.parametrize("form", [(0, 2, 1, "rate"), (10**9, 2, 1, "rate"), (16_000, 0, 1, "width"), (16_000, 8, 1, "width")])
def test_a_form_that_cannot_be_is_named(form: tuple[int, int, int, str]) -> None:
    *numbers, field = form
    with pytest.raises(OutOfRange) as caught:
        PcmFormat(*numbers)
    assert caught.value.param == field
