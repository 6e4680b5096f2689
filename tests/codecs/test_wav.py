import io
import wave

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from open_speech.audio import Audio, to_pcm16
from open_speech.codecs.wav import HEADER_BYTES, UNKNOWN_SIZE, find_pcm16, wav_bytes, wav_header, with_true_sizes


def test_other_readers_agree_with_a_whole_file() -> None:
    audio = Audio(np.linspace(-1, 1, 999, dtype=np.float32), 22_050)
    with wave.open(io.BytesIO(wav_bytes(audio))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, 22_050, 999)
        assert file.readframes(999) == to_pcm16(audio)
    samples, rate = soundfile.read(io.BytesIO(wav_bytes(audio)), dtype="int16")
    assert (samples.tobytes(), rate) == (to_pcm16(audio), 22_050)


def test_libsndfile_reads_a_stream_of_unknown_length_to_its_end() -> None:
    audio = Audio(np.linspace(-1, 1, 999, dtype=np.float32), 22_050)
    samples, _ = soundfile.read(io.BytesIO(wav_header(22_050) + to_pcm16(audio)), dtype="int16")
    assert samples.tobytes() == to_pcm16(audio)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_samples_of_a_file_of_libsndfile_are_found(channels: int) -> None:
    file = io.BytesIO()
    written = np.arange(300 * channels, dtype=np.int16).reshape(-1, channels)
    soundfile.write(file, written, 8000, "PCM_16", format="WAV")
    found = find_pcm16(memoryview(file.getvalue()))
    assert found is not None
    assert (found.rate, found.channels, found.frames) == (8000, channels, 300)
    assert file.getvalue()[found.start :] == written.tobytes()


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
