import io
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.audio import Audio, to_pcm16
from open_speech.codecs.wav import HEADER_BYTES, UNKNOWN_SIZE, find_pcm16, wav_bytes, wav_header, with_true_sizes


def test_pythons_own_reader_agrees_with_a_whole_file() -> None:
    audio = Audio(np.linspace(-1, 1, 999, dtype=np.float32), 22_050)
    with wave.open(io.BytesIO(wav_bytes(audio))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, 22_050, 999)
        assert file.readframes(999) == to_pcm16(audio)


def test_a_header_has_44_bytes_whether_the_length_is_known_or_not() -> None:
    assert len(wav_header(8000)) == len(wav_header(8000, 100)) == 44


@given(st.binary(max_size=200))
def test_no_bytes_upset_the_reader(data: bytes) -> None:
    find_pcm16(memoryview(data))
    find_pcm16(memoryview(b"RIFF\0\0\0\0WAVE" + data))
    found = find_pcm16(memoryview(wav_header(8000)[:20] + data + wav_header(8000)[20:]))
    assert found is None or found.start + 2 * found.channels * found.frames <= 44 + len(data)


def test_only_16_bit_pcm_of_one_or_two_channels_is_read_here() -> None:
    header = bytearray(wav_bytes(Audio(np.zeros(8, np.float32), 8000)))
    assert find_pcm16(memoryview(header)) is not None
    for offset, value in ((20, 3), (20, 7), (22, 6), (34, 24), (32, 3)):
        other = bytearray(header)
        other[offset] = value
        assert find_pcm16(memoryview(other)) is None


@pytest.mark.parametrize("samples", [0, 1, 1000])
def test_a_finished_file_states_its_true_sizes(samples: int) -> None:
    data = bytes(2 * samples)
    streamed = wav_header(22_050) + data
    assert with_true_sizes(streamed, len(streamed)) == wav_header(22_050, len(data)) + data
    assert with_true_sizes(streamed[:HEADER_BYTES], len(streamed)) == wav_header(22_050, len(data))


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", b"ID3" + bytes(60), wav_header(8000, 10) + bytes(10), wav_header(8000)[:36] + b"LIST" + bytes(20)]
)
def test_other_files_stay_as_they_are(data: bytes) -> None:
    assert with_true_sizes(data, len(data)) == data


def test_a_file_that_is_too_large_for_the_header_keeps_its_open_sizes() -> None:
    assert with_true_sizes(wav_header(48_000), UNKNOWN_SIZE + 100) == wav_header(48_000)
