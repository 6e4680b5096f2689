import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.audio import Audio
from open_speech.backends import SpeechOptions, VoiceReference
from open_speech.dispatch.frames import (
    END,
    MAX_PAYLOAD,
    BrokenStream,
    Decoder,
    Frame,
    Kind,
    SpeakCall,
    audio_frame,
    audio_of,
    chunk_frame,
    chunk_of,
    error_frame,
    error_of,
)
from open_speech.errors import BackendFailed, Overloaded, UnknownVoice

FRAMES = st.builds(Frame, st.sampled_from(Kind), st.binary(max_size=60))


@given(st.lists(FRAMES, max_size=12), st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_frames_chopped_anywhere_come_back_whole_and_in_order(frames: list[Frame], cuts: list[int]) -> None:
    data = b"".join(frame.encode() for frame in frames)
    decoder, found, at, turn = Decoder(), [], 0, 0
    while at < len(data):
        step = cuts[turn % len(cuts)]
        found += decoder.feed(data[at : at + step])
        at, turn = at + step, turn + 1
    assert found == frames


def test_a_chunk_of_an_answer_comes_back_and_an_empty_one_is_progress() -> None:
    chunk = {"choices": [{"delta": {"content": "Hällo"}}]}
    assert chunk_frame(chunk).kind is Kind.JSON
    assert chunk_of(chunk_frame(chunk)) == chunk
    assert chunk_frame({}) == Frame(Kind.PROGRESS, b"{}")


def test_many_frames_in_one_piece_come_back_at_once() -> None:
    frames = [Frame(Kind.JSON, b"{}"), audio_frame(Audio(np.zeros(9, np.float32), 8000)), END]
    assert list(Decoder().feed(b"".join(frame.encode() for frame in frames))) == frames


def test_a_frame_is_held_back_until_its_last_byte() -> None:
    decoder, data = Decoder(), Frame(Kind.JSON, b"[1]").encode()
    assert list(decoder.feed(data[:-1])) == []
    assert list(decoder.feed(data[-1:])) == [Frame(Kind.JSON, b"[1]")]


def test_bytes_that_are_no_frames_are_refused_at_once() -> None:
    for data in (b"HTTP/1.1 500 Internal Server Error", struct.pack(">cI", b"A", MAX_PAYLOAD + 1)):
        with pytest.raises(BrokenStream):
            list(Decoder().feed(data))


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=50), st.integers(1, 2**32 - 1))
def test_audio_crosses_bit_by_bit(samples: list[float], rate: int) -> None:
    audio = Audio(np.array(samples, np.float32), rate)
    (frame,) = Decoder().feed(audio_frame(audio).encode())
    crossed = audio_of(frame)
    assert crossed.rate == rate
    np.testing.assert_array_equal(crossed.samples, audio.samples)


def test_a_slice_with_a_stride_crosses_like_its_copy() -> None:
    samples = np.arange(10, dtype=np.float32)[::2]
    assert audio_of(audio_frame(Audio(samples, 8000))).samples.tolist() == samples.tolist()


def test_an_error_crosses_with_its_kind_and_its_fields() -> None:
    for error in (UnknownVoice("no such voice", param="voice"), Overloaded("busy", retry_after_s=2.5)):
        crossed = error_of(error_frame(error))
        assert type(crossed) is type(error)
        assert (crossed.message, crossed.param, crossed.retry_after_s) == (error.message, error.param, error.retry_after_s)


def test_an_error_of_a_newer_version_is_a_failed_backend() -> None:
    crossed = error_of(Frame(Kind.ERROR, json.dumps({"kind": "FromTheFuture", "message": "?"}).encode()))
    assert type(crossed) is BackendFailed
    assert crossed.message == "?"


def test_a_voice_to_clone_crosses_bit_by_bit_with_its_words() -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, 1000).astype(np.float32)
    wishes = SpeechOptions("v", 1.5, "de", VoiceReference.of(Audio(sound, 24_000), "Guten Tag."), instructions="Sing.")
    for options in (wishes, replace(wishes, reference=None, design="Deep.")):
        call = SpeakCall.of("model", "Hello.", options)
        assert SpeakCall.model_validate_json(call.model_dump_json()).unpack() == call.unpack() == ("Hello.", options)


def test_a_reference_of_another_rate_is_kept_at_the_one_that_models_take() -> None:
    reference = VoiceReference.of(Audio(np.zeros(8000, np.float32), 8000))
    assert (reference.audio.rate, reference.audio.seconds) == (24_000, pytest.approx(1, abs=0.001))
