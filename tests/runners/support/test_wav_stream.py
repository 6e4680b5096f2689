from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.audio import Audio, concat, to_pcm16
from open_speech.codecs.wav import wav_bytes, wav_header
from open_speech.errors import BackendFailed
from runners.support.wav_stream import LONGEST_HEADER, WavStream

SOUND = Audio(np.linspace(-1, 0.9, 999, dtype=np.float32), 22_050)
PCM = to_pcm16(SOUND)


def read(*pieces: bytes) -> Audio:
    stream = WavStream(44_100)
    parts = [audio for piece in pieces for audio in stream.feed(piece)]
    stream.close()
    return concat(parts, parts[0].rate if parts else 44_100)


@given(cuts=st.lists(st.integers(0, 44 + len(PCM)), max_size=6).map(sorted))
def test_a_file_may_be_cut_anywhere(cuts: list[int]) -> None:
    whole = wav_bytes(SOUND)
    heard = read(*(whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True) if start < end))
    assert heard.rate == SOUND.rate
    assert to_pcm16(heard) == PCM


@pytest.mark.parametrize("length", [None, 0])
def test_a_header_that_does_not_know_the_length_promises_nothing(length: int | None) -> None:
    assert to_pcm16(read(wav_header(22_050, length), PCM)) == PCM


def test_samples_without_a_header_have_the_rate_that_was_given() -> None:
    heard = read(PCM[:7], PCM[7:])
    assert heard.rate == 44_100
    assert to_pcm16(heard) == PCM


def test_what_follows_the_samples_is_no_sound() -> None:
    assert to_pcm16(read(wav_header(22_050, len(PCM)), PCM + b"LIST\x04\0\0\0abcd", b"more")) == PCM


def test_two_channels_become_one() -> None:
    header = bytearray(wav_header(22_050, 4))
    header[22], header[32] = 2, 4  # channels, bytes in a frame
    assert read(bytes(header) + np.array([1000, 3000], "<i2").tobytes()).samples.tolist() == [2000 / 32768]


def test_less_than_was_promised_was_cut_short() -> None:
    with pytest.raises(BackendFailed, match="truncated"):
        read(wav_bytes(SOUND)[:-10])
    with pytest.raises(BackendFailed, match="truncated"):
        read(wav_bytes(SOUND)[:20])


def test_nothing_at_all_is_no_sound() -> None:
    assert read().samples.tolist() == []


def test_a_header_of_something_else_is_refused_and_the_wait_for_one_is_bounded() -> None:
    header = bytearray(wav_header(22_050, 4))
    header[20] = 3  # floating point
    with pytest.raises(BackendFailed, match="16-bit"):
        read(bytes(header) + bytes(LONGEST_HEADER))
