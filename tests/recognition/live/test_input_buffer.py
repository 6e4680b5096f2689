from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.turn_detection import FRAME_S, Endpointer, Paused, Question, Started, Stopped
from open_speech.recognition.vad import FRAME, VAD_RATE


def ramp(count: int, start: int = 0) -> NDArray[np.float32]:
    return (np.arange(start, start + count) / 1_000_000).astype(np.float32)


@given(st.lists(st.integers(0, 5000), max_size=12), st.integers(0, 20_000), st.integers(0, 20_000))
def test_what_is_cut_out_is_what_was_heard_however_it_came(sizes: list[int], first: int, last: int) -> None:
    microphone = InputBuffer(None, None)
    heard = 0
    for size in sizes:
        assert microphone.feed(Audio(ramp(size, heard), 16_000)) == []
        heard += size
    assert microphone.seconds == heard / 16_000
    np.testing.assert_array_equal(microphone.cut(first / 16_000, last / 16_000).samples, ramp(heard)[first:last])


def test_what_is_forgotten_is_gone_and_times_stay() -> None:
    microphone = InputBuffer(None, None)
    for start in range(0, 16_000, 1000):
        microphone.feed(Audio(ramp(1000, start), 16_000))
    microphone.forget(0.53)
    assert microphone.start_s == 0.53
    np.testing.assert_array_equal(microphone.cut(0, 1).samples, ramp(16_000)[8480:])
    microphone.forget(99)
    assert len(microphone.cut(0, 9).samples) == 0
    assert microphone.seconds == 1


def test_it_keeps_no_more_than_it_is_told_to() -> None:
    microphone = InputBuffer(None, None, longest_s=1)
    for start in range(0, 80_000, 700):
        microphone.feed(Audio(ramp(700, start), 16_000))
    assert len(microphone.cut(0, 99).samples) == 16_000
    assert microphone.seconds == pytest.approx(80_500 / 16_000)


@pytest.mark.parametrize("rate", [8000, 24_000, 44_100, 48_000])
def test_sound_of_any_rate_loses_nothing(rate: int) -> None:
    microphone = InputBuffer(None, None)
    wave = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    for start in range(0, rate, 333):
        microphone.feed(Audio(wave[start : start + 333], rate))
    microphone.flush()
    heard = microphone.cut(0, 2).samples
    assert abs(len(heard) - 16_000) <= 1
    expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert np.abs(heard[1000:15_000] - expected[1000:15_000]).max() < 0.01


def test_the_rate_may_change_and_what_was_held_back_comes_first() -> None:
    microphone = InputBuffer(None, None)
    for rate in (48_000, 8000, 16_000, 48_000):
        microphone.feed(Audio(np.full(rate, 0.5, np.float32), rate))
    microphone.flush()
    assert microphone.seconds == pytest.approx(4, abs=0.001)
    assert np.median(microphone.cut(0, 4).samples) == pytest.approx(0.5, abs=0.01)


class Loud:
    """A detector for which every sound is speech: 0.9 where there is any, else 0."""

    def __init__(self) -> None:
        self.rest = np.zeros(0, np.float32)

    def feed(self, samples: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        waiting = np.concatenate([self.rest, samples])
        count = len(waiting) // 512
        self.rest = waiting[count * 512 :]
        loud = np.abs(waiting[: count * 512]).reshape(count, 512).max(axis=1, initial=0) > 0.1
        return np.asarray(0.9 * loud, np.float32)


def test_turns_are_told_in_the_time_of_the_stream_also_when_the_rules_change() -> None:
    microphone = InputBuffer(Loud(), Endpointer(prefix_padding_ms=0, silence_duration_ms=320))
    sound = np.concatenate([np.zeros(5120), np.full(5120, 0.5), np.zeros(7680)]).astype(np.float32)
    assert [(type(event).__name__, round(event.at_s / FRAME_S)) for event in microphone.feed(Audio(sound, 16_000))] == [
        ("Started", 10),
        ("Paused", 20),
        ("Stopped", 20),
    ]
    microphone.tune(None)
    assert microphone.feed(Audio(sound[5120:10_240], 16_000)) == []
    microphone.tune(Endpointer(prefix_padding_ms=0))
    (started,) = microphone.feed(Audio(sound[5120:10_240], 16_000))
    assert round(started.at_s / FRAME_S) == 45


def parts(pattern: str) -> NDArray[np.float32]:
    """Return a frame for each mark: `#` is loud, `.` silent."""
    return np.concatenate([np.full(FRAME, 0.5 if mark == "#" else 0.0, np.float32) for mark in pattern])


def semantic() -> Endpointer:
    return Endpointer(silence_duration_ms=700, longest_silence_ms=1600)


def test_audio_after_a_question_has_not_been_received_until_its_answer() -> None:
    buffer = InputBuffer(Loud(), semantic())
    samples = parts("." * 20 + "#" * 10 + "." * 10 + "#" * 10)
    assert buffer.feed(Audio(samples, VAD_RATE)) == [Started(20 * FRAME_S - 0.3), Paused(30 * FRAME_S)]
    assert buffer.question == Question(20 * FRAME_S - 0.5, 37 * FRAME_S)
    assert buffer.seconds == 37 * FRAME_S
    assert len(buffer.cut(0, 99).samples) == 37 * FRAME
    assert buffer.answer(True) == [Stopped(30 * FRAME_S), Started(40 * FRAME_S - 0.3)]
    assert buffer.question is None
    assert buffer.seconds == 50 * FRAME_S
    np.testing.assert_array_equal(buffer.cut(0, 99).samples, samples)


def test_the_audio_of_a_long_turn_is_needed_for_its_next_question() -> None:
    buffer = InputBuffer(Loud(), semantic())
    assert buffer.needed_s == math.inf
    buffer.feed(Audio(parts("." * 20 + "#" * 100), VAD_RATE))
    assert buffer.needed_s == 20 * FRAME_S - 0.5
    assert InputBuffer(None, None).needed_s == math.inf


def test_at_the_end_of_a_signal_no_question_is_left_open() -> None:
    """A change of the sample rate ends a signal as well."""
    for end in (InputBuffer.flush, lambda buffer: buffer.feed(Audio(np.zeros(0, np.float32), 8000))):
        buffer = InputBuffer(Loud(), semantic())
        buffer.feed(Audio(parts("#" * 10 + "." * 30), VAD_RATE))
        assert end(buffer) == [Stopped(10 * FRAME_S)]
        assert (buffer.question, buffer.seconds) == (None, pytest.approx(40 * FRAME_S))


def test_a_turn_in_progress_continues_with_another_endpointer() -> None:
    buffer = InputBuffer(Loud(), Endpointer())
    buffer.feed(Audio(parts("#" * 10 + "." * 4), VAD_RATE))
    buffer.tune(semantic())
    assert buffer.feed(Audio(parts("." * 4), VAD_RATE)) == [Paused(10 * FRAME_S)]
    assert buffer.question is not None
    buffer.tune(Endpointer())
    assert (buffer.question, buffer.seconds) == (None, pytest.approx(18 * FRAME_S))
    assert buffer.feed(Audio(parts("." * 8), VAD_RATE)) == [Stopped(10 * FRAME_S)]


@given(st.text("#.", min_size=1, max_size=200), st.lists(st.integers(1, 9000), min_size=1, max_size=9))
def test_the_audio_of_a_question_does_not_depend_on_how_it_arrives(pattern: str, sizes: list[int]) -> None:
    samples = parts(pattern)

    def run(sizes: list[int]) -> list[object]:
        buffer, found, at, turn = InputBuffer(Loud(), semantic()), list[object](), 0, 0
        while at < len(samples):
            size = sizes[turn % len(sizes)]
            found += buffer.feed(Audio(samples[at : at + size], VAD_RATE))
            while (question := buffer.question) is not None:
                audio = buffer.cut(question.start_s, question.end_s).samples
                found.append((question, len(audio), float(audio.sum())))
                found += buffer.answer([True, False, None][len(audio) % 3])
            at, turn = at + size, turn + 1
        return found

    assert run(sizes) == run([len(samples)])
