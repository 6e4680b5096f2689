from __future__ import annotations

import numpy as np
import pytest

from open_speech.api.realtime.effects import AudioFormat
from open_speech.api.realtime.wire_audio import PIECE_BYTES, decoded, encoded
from open_speech.audio import Audio
from open_speech.errors import InvalidAudio

FORMATS = [AudioFormat(), AudioFormat("audio/pcm", 16_000), AudioFormat("audio/pcmu", 8000), AudioFormat("audio/pcma", 8000)]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: f"{form.type} {form.rate}")
def test_sound_is_the_same_after_the_wire(form: AudioFormat) -> None:
    tone = Audio((0.3 * np.sin(np.arange(5 * form.rate) * 0.05)).astype(np.float32), form.rate)
    pieces = list(encoded(tone, form))
    heard = decoded(b"".join(data for data, _ in pieces), form)
    assert heard.rate == form.rate
    assert np.abs(heard.samples - tone.samples).max() < (0.0001 if form.type == "audio/pcm" else 0.02)
    assert sum(seconds for _, seconds in pieces) == pytest.approx(5)
    assert max(len(data) for data, _ in pieces) <= PIECE_BYTES


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(InvalidAudio):
        decoded(b"abc", AudioFormat())
