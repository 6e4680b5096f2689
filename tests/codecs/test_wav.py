import io
import wave

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from open_speech.audio import Audio, to_pcm16
from open_speech.codecs.wav import find_pcm16, wav_bytes, wav_header


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
