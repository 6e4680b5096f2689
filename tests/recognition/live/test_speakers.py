"""The clustering of voiceprints in a live session, on vectors."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from open_speech.recognition.live.speakers import SAME_LONG, SAME_SHORT, Print, SessionSpeakers, clustered, same, unit

SIZE = 64


def voice(number: int, seed: int = 0, spread: float = 0.6) -> NDArray[np.float32]:
    """The voiceprint of a speaker, a little different each time; two of the same speaker have a similarity of about 0.7."""
    return unit(np.eye(SIZE)[number] + spread * unit(np.random.default_rng(seed).standard_normal(SIZE)))


def prints(*spoken: tuple[int, float], at: float = 0.0, spread: float = 0.6) -> list[Print]:
    """Windows one after the other: speaker and seconds."""
    found = []
    for number, (speaker, seconds) in enumerate(spoken):
        found.append(Print(at, at + seconds, voice(speaker, seed=int(100 * at) + number, spread=spread)))
        at += seconds
    return found


def test_two_voices_are_two_speakers_in_the_order_of_their_speech() -> None:
    speakers = SessionSpeakers()
    assert speakers.label(prints((5, 1.5), (2, 1.5), (2, 1.5), (2, 1.5))) == ["A", "B", "B", "B"]


def test_a_voice_keeps_its_label_over_a_session() -> None:
    speakers = SessionSpeakers()
    for turn in range(40):
        speaker = turn % 3
        assert speakers.label(prints((speaker, 1.5), (speaker, 1.5), at=10.0 * turn)) == ["ABC"[speaker]] * 2


def test_a_change_within_a_window_is_found() -> None:
    speakers = SessionSpeakers()
    speakers.label(prints((0, 1.5), (0, 1.5)))
    assert speakers.label(prints((0, 1.5), (1, 1.5), (1, 1.5), (0, 1.5), at=20)) == ["A", "B", "B", "A"]


def test_too_little_speech_is_nobody_before_someone_has_spoken() -> None:
    speakers = SessionSpeakers()
    assert speakers.label(prints((0, 0.3))) == [None]
    assert speakers.label(prints((0, 1.5), at=1)) == ["A"]


def test_too_little_speech_is_the_most_similar_speaker() -> None:
    speakers = SessionSpeakers()
    speakers.label(prints((0, 1.5), (1, 1.5)))
    assert speakers.label(prints((1, 0.3), at=5)) == ["B"]
    assert speakers.label(prints((7, 0.5), at=9)) in (["A"], ["B"]), "too short for a new speaker"
    assert speakers.label(prints((7, 1.5), at=12)) == ["C"]


def test_a_short_stretch_between_two_of_a_speaker_is_theirs() -> None:
    speakers = SessionSpeakers()
    speakers.label(prints((0, 1.5), (1, 1.5)))
    between = [Print(20, 21.5, voice(1, 1)), Print(21.6, 21.9, unit(np.eye(SIZE)[0] + np.eye(SIZE)[1])), Print(22.0, 23.5, voice(1, 4))]
    assert speakers.label(between) == ["B", "B", "B"]


def test_the_number_of_speakers_is_bounded() -> None:
    speakers = SessionSpeakers(most=2)
    labels = [speakers.label(prints((number, 1.5), at=5.0 * number))[0] for number in range(20)]
    assert set(labels) == {"A", "B"}


def test_a_known_speaker_has_a_name_and_a_stranger_a_letter() -> None:
    speakers = SessionSpeakers([("Ann", voice(3, 9)), ("B", voice(4, 9))])
    assert speakers.label(prints((3, 1.5), (0, 1.5), (1, 1.5))) == ["Ann", "A", "C"], "B is a name"


def test_a_known_speaker_who_does_not_speak_names_nobody() -> None:
    speakers = SessionSpeakers([("Ann", voice(3, 9))])
    assert speakers.label(prints((0, 1.5), (1, 1.5))) == ["A", "B"]


def test_known_speakers_count_towards_the_maximum_only_when_they_speak() -> None:
    speakers = SessionSpeakers([("Ann", voice(3, 9)), ("Bob", voice(4, 9))], most=1)
    assert speakers.label(prints((0, 1.5))) == ["A"]
    assert speakers.label(prints((3, 1.5), at=3)) == ["A"]


def test_a_speaker_may_become_known_later_and_old_labels_stay() -> None:
    speakers = SessionSpeakers()
    assert speakers.label(prints((0, 1.5))) == ["A"]
    speakers.know("Bob", voice(1, 9))
    assert speakers.label(prints((1, 1.5), (0, 1.5), at=5)) == ["Bob", "A"]


def test_two_labels_of_one_voice_become_the_earlier_one() -> None:
    speakers = SessionSpeakers()
    axes = np.eye(SIZE, dtype=np.float32)
    assert speakers.label([Print(0, 0.7, axes[0]), Print(1, 1.7, axes[1] + 0.25 * axes[0])]) == ["A", "B"]
    # The second was heard too briefly to be recognized: all further speech is from between the two.
    labels = [speakers.label([Print(at, at + 1.5, axes[1] + 1.1 * axes[0])])[0] for at in range(10, 110, 5)]
    assert labels == sorted(labels, reverse=True)
    assert (labels[0], labels[-1]) == ("B", "A")


def test_zeros_and_an_empty_window_do_not_fail() -> None:
    speakers = SessionSpeakers()
    assert speakers.label([]) == []
    labels = speakers.label([Print(0, 1.5, np.zeros(SIZE, np.float32)), Print(1, 2.5, voice(0))])
    assert None not in labels


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, SAME_SHORT), (0.4, SAME_SHORT), (1.5, SAME_LONG), (9.0, SAME_LONG)])
def test_short_speech_needs_less_similarity(seconds: float, expected: float) -> None:
    assert same(seconds) == pytest.approx(expected)


def test_clusters_are_by_mean_affinity() -> None:
    one, other = 0.2, -0.3
    affinities = np.array([[1, one, other, other], [one, 1, other, other], [other, other, 1, one], [other, other, one, 1]], np.float32)
    assert clustered(affinities) == [[0, 1], [2, 3]]
    assert clustered(np.full((3, 3), -0.1, np.float32)) == [[0], [1], [2]]
    assert clustered(np.zeros((0, 0), np.float32)) == []
