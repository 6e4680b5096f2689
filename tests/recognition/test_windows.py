from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.backends import Vad
from open_speech.recognition.windows import KEPT_GAP_S, LEAST_AFTER_S, LONGEST_GAP_S, Cut, Span, WindowCutter, cuts_of, kept_s, placed
from open_speech.transcript import Segment, Word

FRAME_S = 0.032
VAD = Vad(threshold=0.5, min_speech_ms=250, min_silence_ms=800, pad_ms=200)


def frames(*stretches: tuple[float, float]) -> np.ndarray:
    """Probabilities of stretches given as (seconds, probability)."""
    return np.concatenate([np.full(round(seconds / FRAME_S), level, np.float32) for seconds, level in stretches])


def cut(*stretches: tuple[float, float], longest_s: float = 15.0, vad: Vad = VAD) -> list[Cut]:
    return cuts_of(frames(*stretches), vad, FRAME_S, longest_s=longest_s)


def test_silence_gives_no_window() -> None:
    assert cut((30, 0.01)) == []


def test_speech_in_silence_is_one_window_with_padding() -> None:
    (only,) = cut((2, 0), (3, 0.9), (4, 0))
    assert only.start == pytest.approx(1.8, abs=0.05)
    assert only.end == pytest.approx(5.2, abs=0.05)
    assert only.spans == (Span(pytest.approx(2, abs=0.05), pytest.approx(5, abs=0.05)),)


def test_a_click_is_not_speech() -> None:
    assert cut((2, 0), (0.1, 0.99), (2, 0)) == []


def test_a_silence_ends_a_window_only_if_it_is_long() -> None:
    assert len(cut((2, 0.9), (LONGEST_GAP_S - 0.5, 0), (2, 0.9))) == 1
    assert len(cut((2, 0.9), (LONGEST_GAP_S + 0.5, 0), (2, 0.9))) == 2


def test_speech_that_fades_a_little_goes_on() -> None:
    (only,) = cut((1, 0.9), (1.5, 0.4), (1, 0.9))
    assert len(only.spans) == 1


def test_spans_fill_a_window_up_to_its_limit_and_no_further() -> None:
    windows = cut(*[(3, 0.9), (0.9, 0)] * 6, longest_s=10)
    assert [len(window.spans) for window in windows] == [2, 2, 2]
    assert all(window.end - window.start <= 10 for window in windows)


@pytest.mark.parametrize("pause", [0.3, 0.7, 1.2, 2.0, 3.0, LONGEST_GAP_S - 0.5])
def test_words_on_both_sides_of_a_pause_are_decoded_together(pause: float) -> None:
    (only,) = cut((1.0, 0.9), (pause, 0), (0.4, 0.9), (pause, 0), (4, 0.9))
    assert only.spans[0].start == pytest.approx(0)
    assert only.end == pytest.approx(5.4 + 2 * pause + VAD.pad_ms / 1000, abs=0.1)


@pytest.mark.parametrize("silence", [0.0, 0.3, 0.7, 1.2, 2.0, 3.0])
@pytest.mark.parametrize("utterance", [0.5, 2.0, 4.0, 11.0])
def test_no_window_of_a_long_audio_is_left_with_little_speech(utterance: float, silence: float) -> None:
    for count in (2, 3, 5, 8, 13, 21):
        windows = cut(*[(utterance, 0.9), (silence, 0)] * count)
        if sum(kept_s(window.spans) for window in windows) > LEAST_AFTER_S:
            assert all(kept_s(window.spans) > min(LEAST_AFTER_S, utterance) - 0.1 for window in windows), count


def test_a_full_window_is_split_at_its_longest_silence() -> None:
    first, second = cut((5, 0.9), (0.3, 0), (1.5, 0.9), (1.8, 0), (2, 0.9), (0.5, 0), (6, 0.9))
    assert first.spans[-1].end == pytest.approx(6.8, abs=0.1)
    assert second.spans[0].start == pytest.approx(8.6, abs=0.1)


def test_a_long_silence_is_shortened_in_what_is_decoded() -> None:
    (only,) = cut((3, 0.9), (4, 0), (3, 0.9))
    assert [(piece.start, piece.end) for piece in only.pieces] == [
        (0.0, pytest.approx(3 + KEPT_GAP_S / 2, abs=0.05)),
        (pytest.approx(7 - KEPT_GAP_S / 2, abs=0.05), pytest.approx(10, abs=0.25)),
    ]
    samples = np.arange(1000, dtype=np.float32)
    assert len(only.cut_out(samples, 0, 100)) == pytest.approx(100 * (6 + KEPT_GAP_S), abs=6)
    assert only.cut_out(samples, 0, 100)[-1] == 999


def test_speech_is_known_by_its_time_in_what_is_decoded() -> None:
    (only,) = cut((3, 0.9), (4, 0), (2, 0.9), (1, 0))
    times = [time for stretch in only.speech() for time in stretch]
    assert times == pytest.approx([0, 3, 3 + KEPT_GAP_S, 5 + KEPT_GAP_S], abs=0.05)


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    windows = cut((8, 0.9), (0.2, 0.55), (9, 0.9), longest_s=12)
    assert len(windows) == 2
    assert windows[0].end == pytest.approx(8.1, abs=0.15)
    assert windows[1].start == windows[0].end


@pytest.mark.parametrize("pause_s", [0.4, 0.55, 0.7])
def test_a_window_split_near_its_end_is_split_at_a_whole_pause(pause_s: float) -> None:
    """The pause ends too near the end to be chosen as a silence, and holds the quietest frame."""
    first, second, *_ = cut((3.4, 0.9), (pause_s, 0.3), (9, 0.9), longest_s=4)
    assert first.spans[-1].end == pytest.approx(3.4, abs=FRAME_S)
    assert second.spans[0].start == pytest.approx(3.4 + pause_s, abs=FRAME_S)
    assert not first.pauses
    assert not second.pauses


def test_windows_come_as_soon_as_nothing_can_change_them() -> None:
    cutter = WindowCutter(VAD, FRAME_S, longest_s=15)
    assert cutter.feed(frames((2, 0.9))) == []
    assert len(cutter.feed(frames((LONGEST_GAP_S + 1.2, 0.0)))) == 1
    assert cutter.finish() == []


def test_audio_before_the_settled_time_is_not_needed_any_more() -> None:
    cutter = WindowCutter(VAD, FRAME_S, longest_s=15)
    cutter.feed(frames((100, 0.0)))
    assert cutter.settled_s > 99
    cutter.feed(frames((5, 0.9)))
    assert 99 < cutter.settled_s < 100


probability_runs = st.lists(st.tuples(st.floats(0.04, 6), st.sampled_from([0.0, 0.3, 0.45, 0.55, 0.9])), min_size=1, max_size=25)


@given(runs=probability_runs, longest=st.sampled_from([4.0, 10.0, 15.0, 30.0]), step=st.integers(1, 200))
def test_windows_are_in_order_bounded_and_the_same_however_the_audio_comes(
    runs: list[tuple[float, float]], longest: float, step: int
) -> None:
    probabilities = frames(*runs)
    whole = cuts_of(probabilities, VAD, FRAME_S, longest_s=longest)
    cutter = WindowCutter(VAD, FRAME_S, longest_s=longest)
    pieces: list[Cut] = []
    settled = 0.0
    for start in range(0, len(probabilities), step):
        done = cutter.feed(probabilities[start : start + step])
        assert all(window.start >= settled - 1e-9 for window in done), "needed audio that was let go"
        settled = cutter.settled_s
        pieces += done
    pieces += cutter.finish()
    assert [(w.start, w.end) for w in pieces] == [(w.start, w.end) for w in whole]
    for before, after in zip(whole, whole[1:], strict=False):
        assert before.end <= after.start
    for window in whole:
        assert sum(piece.seconds for piece in window.pieces) <= longest + 2 * FRAME_S
        assert len(window.speech()) == len(window.spans) + len(window.pauses)
        assert all(span.end > span.start for span in window.spans)


@given(runs=probability_runs)
def test_all_long_speech_is_in_some_window(runs: list[tuple[float, float]]) -> None:
    probabilities = frames(*runs)
    windows = cuts_of(probabilities, Vad(min_speech_ms=0), FRAME_S, longest_s=15)
    for at in np.flatnonzero(probabilities >= 0.5):
        middle = (at + 0.5) * FRAME_S
        assert any(window.start <= middle <= window.end for window in windows)


WINDOW = Cut(10.0, 20.0, (Span(10.2, 13.0), Span(14.5, 19.8)))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 3.0, (10.2, 13.0)),
        (0.0, 3.4, (10.2, 13.0)),
        (3.5, 10.0, (14.5, 19.8)),
        (0.25, 2.95, (10.25, 12.95)),
        (0.0, 30.0, (10.2, 19.8)),
        (3.1, 3.3, (13.1, 13.3)),
        (3.4, 5.0, (14.5, 15.7)),
        (2.0, 4.3, (12.0, 15.0)),
    ],
)
def test_a_segment_s_times_are_those_of_the_speech_in_it(start: float, end: float, expected: tuple[float, float]) -> None:
    moved = placed(Segment(start, end, " hi"), WINDOW)
    assert (moved.start, moved.end) == (pytest.approx(expected[0]), pytest.approx(expected[1]))


def test_words_move_with_their_window_and_bound_their_segment() -> None:
    words = (Word(" a", 0.5, 0.9), Word(" b", 1.0, 99.0))
    moved = placed(Segment(0, 5, " a b", words=words), WINDOW)
    assert [(word.start, word.end) for word in moved.words] == [(10.5, 10.9), (11.0, 20.0)]
    assert (moved.start, moved.end) == (10.5, 20.0)
