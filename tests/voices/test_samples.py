from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.backends import REFERENCE_RATE
from open_speech.codecs import encoder, wav_bytes
from open_speech.config.types import AudioFormat
from open_speech.errors import InvalidValue, UploadTooLarge
from open_speech.voices import SAMPLE_BYTES, sample_of


def noise(seconds: float, rate: int = 16_000) -> Audio:
    return Audio(np.random.default_rng(1).uniform(-0.2, 0.2, round(seconds * rate)).astype(np.float32), rate)


@pytest.mark.parametrize("form", ["wav", "mp3", "flac", "opus", "aac"])
def test_every_format_becomes_mono_at_the_reference_rate(form: AudioFormat) -> None:
    out = encoder(form, 16_000)
    audio = sample_of(out.encode(noise(2)) + out.finish(), "audio_sample")
    assert audio.rate == REFERENCE_RATE
    assert audio.seconds == pytest.approx(2, abs=0.15)


def test_a_minute_is_taken_even_when_its_codec_pads_it(tmp_path: Path) -> None:
    path = tmp_path / "minute.wav"
    path.write_bytes(wav_bytes(noise(60.1)))
    assert sample_of(path, "recording").seconds == pytest.approx(60.1, abs=0.01)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not audio"),
        (b"RIFF nothing of the kind", "not audio"),
        (wav_bytes(noise(0.5)), "1 to 60 seconds"),
        (wav_bytes(noise(61)), "1 to 60 seconds"),
        (wav_bytes(Audio(np.zeros(32_000, np.float32), 16_000)), "silent"),
    ],
    ids=["empty", "junk", "short", "long", "silent"],
)
def test_what_no_voice_can_be_learnt_from_names_the_field(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem) as refused:
        sample_of(data, "audio_sample")
    assert refused.value.param == "audio_sample"


def test_a_large_file_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(UploadTooLarge) as refused:
        sample_of(bytes(SAMPLE_BYTES + 1), "recording")
    assert refused.value.param == "recording"
