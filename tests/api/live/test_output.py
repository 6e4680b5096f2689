from __future__ import annotations

import numpy as np
import pytest

from open_speech.api.live.output import OutputTrack, Speech

RATE = 1000


def sound(seconds: float) -> np.ndarray:
    return np.full(round(seconds * RATE), 0.5, np.float32)


def play(track: OutputTrack, seconds: float, step: int = 100) -> list[str]:
    """Play, and list the words of each step."""
    found = []
    for _ in range(round(seconds * RATE / step)):
        assert len(track.take(step)) == step
        found.append(track.words())
    return found


def test_silence_is_digital_zero() -> None:
    assert not OutputTrack(RATE).take(100).any()


def test_words_leave_with_their_audio_each_with_its_space() -> None:
    track = OutputTrack(RATE)
    speech = track.begin()
    speech.add_text("One two. ", 0.0)
    speech.add_audio(sound(0.8))
    speech.add_text("Three four.", 0.8)
    speech.add_audio(sound(0.8))
    speech.end()
    assert "".join(play(track, 0.1)) == " One"
    assert "".join(play(track, 0.6)) == " two."
    assert "".join(play(track, 0.2)) == " Three"
    assert "".join(play(track, 0.7)) == " four."
    assert speech.is_over


def test_the_words_are_the_text_of_the_answer() -> None:
    text = "It is  warm,\nand sunny. 今日はいい天気ですね。 Supercalifragilisticexpialidocious!"
    track = OutputTrack(RATE)
    speech = track.begin()
    speech.add_text(text, 0.0)
    speech.add_audio(sound(3))
    speech.end()
    assert "".join(play(track, 3)) == " It is warm, and sunny. 今日はいい天気ですね。 Supercalifragilisticexpialidocious!"


def test_words_do_not_run_ahead_while_the_length_of_their_sentence_is_unknown() -> None:
    track = OutputTrack(RATE)
    speech = track.begin()
    speech.add_text("word " * 40, 0.0)
    speech.add_audio(sound(0.5))
    assert len("".join(play(track, 0.5))) <= 0.5 * 20 + 5


def test_the_rest_of_the_words_leaves_when_the_end_is_known_late() -> None:
    track = OutputTrack(RATE)
    speech = track.begin()
    speech.add_text("Hello there, everybody.", 0.0)
    speech.add_audio(sound(0.2))
    first = "".join(play(track, 0.2))
    speech.end()
    track.finish()
    assert first + track.words() == " Hello there, everybody."


def test_an_answer_that_is_dropped_was_heard_up_to_the_word() -> None:
    track = OutputTrack(RATE)
    speech = track.begin()
    speech.add_text("One two three four.", 0.0)
    speech.add_audio(sound(4))
    play(track, 1.0)
    assert track.drop() == " One two"
    assert not track.take(100).any()


def test_a_paused_answer_goes_on_where_it_was() -> None:
    track = OutputTrack(RATE)
    speech = track.begin()
    speech.add_audio(np.arange(1, 301, dtype=np.float32))
    track.take(100)
    track.is_paused = True
    assert not track.take(100).any()
    track.is_paused = False
    np.testing.assert_array_equal(track.take(200), np.arange(101, 301))


def test_a_fixture_is_played_instead_of_speech() -> None:
    track = OutputTrack(RATE)
    track.begin().add_audio(sound(0.2))
    track.play_fixture(np.full(150, 0.1, np.float32))
    first, second, third = (track.take(100) for _ in range(3))
    assert first == pytest.approx(np.full(100, 0.1, np.float32))
    assert second == pytest.approx(np.concatenate([np.full(50, 0.1), np.zeros(50)]).astype(np.float32))
    assert third == pytest.approx(np.full(100, 0.5, np.float32))


def test_an_answer_without_audio_is_over_when_it_ends() -> None:
    speech = Speech(RATE)
    speech.add_text("🙂", 0.0)
    speech.end()
    assert speech.is_over
    assert speech.words() == ""
