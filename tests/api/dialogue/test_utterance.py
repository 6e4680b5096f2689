"""The audio of one utterance in several messages."""

from __future__ import annotations

import numpy as np
import pytest

from open_speech.api.dialogue.utterance import Utterance, is_whole_wav, joined
from open_speech.audio import Audio
from open_speech.codecs import decode, wav_bytes
from open_speech.errors import UploadTooLarge


def tone(seconds: float, rate: int = 16_000) -> bytes:
    return wav_bytes(Audio(np.full(round(seconds * rate), 0.25, np.float32), rate))


def test_chunks_of_one_file_are_that_file() -> None:
    whole = tone(1.0)
    utterance = Utterance(100_000)
    for start in range(0, len(whole), 10_000):
        utterance.add(whole[start : start + 10_000])
        assert not utterance.is_whole
    assert utterance.bytes == len(whole)
    assert utterance.take() == whole
    assert utterance.bytes == 0


def test_a_whole_file_is_recognized() -> None:
    utterance = Utterance(100_000)
    utterance.add(tone(1.0))
    assert utterance.is_whole
    assert not is_whole_wav(tone(1.0)[:-1])
    assert not is_whole_wav(b"")
    assert not is_whole_wav(b"OggS")


def test_several_files_of_one_format_are_one() -> None:
    assert decode(joined([tone(0.5), tone(0.25), tone(0.5)]), 16_000, max_seconds=10).seconds == pytest.approx(1.25)


def test_files_of_different_formats_are_not_joined() -> None:
    parts = [tone(0.5), tone(0.5, 8000)]
    assert joined(parts) == b"".join(parts)


def test_an_utterance_that_is_too_long_is_dropped() -> None:
    utterance = Utterance(10)
    utterance.add(b"123456")
    with pytest.raises(UploadTooLarge, match="10 bytes"):
        utterance.add(b"78901")
    assert utterance.bytes == 0
