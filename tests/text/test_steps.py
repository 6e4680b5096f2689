import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.script import LONGEST_PAUSE_S, Pause, Say, TagReader, steps_of


def test_text_without_tags_is_one_step() -> None:
    assert steps_of("Hello [there] world.") == [Say("Hello [there] world.")]


def test_a_pause_stands_between_two_texts() -> None:
    assert steps_of("One.[pause:0.5]Two.") == [Say("One."), Pause(0.5), Say("Two.")]


def test_a_dialogue_is_one_text() -> None:
    assert steps_of("[voice:af_sky]Hi. [voice:am_adam(2)+af_sky]Hello. [voice:]Who is it?") == [
        Say("Hi. ", "af_sky"), Say("Hello. ", "am_adam(2)+af_sky"), Say("Who is it?")
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["[pause:1s]", "[pause: 1 ]", "[PAUSE:1.0]"])
def test_tags_are_read_in_the_ways_that_people_write_them(text: str) -> None:
    assert steps_of(text) == [Pause(1.0)]


@pytest.mark.parametrize("text", ["[pause:]", "[pause:long]", "[voice:a b]", "[pausing:1]", "[pause:-1]", "[voice:x", "["])
def test_what_is_no_tag_is_text(text: str) -> None:
    assert "".join(step.text for step in steps_of(text) if isinstance(step, Say)) == text


def test_no_pause_is_longer_than_the_longest() -> None:
    assert steps_of("[pause:9999]") == [Pause(LONGEST_PAUSE_S)]


def test_marks_of_ours_do_not_come_from_outside() -> None:
    assert steps_of("a\ue010b\ue000c") == [Say("abc")]


SNIPPETS = st.lists(st.sampled_from(["a ", "[", "]", "[pause:1]", "[voice:x]", "pause:2]", "voice", "[pau", ":"]), max_size=12)


@given(SNIPPETS.map("".join), st.data())
def test_chopped_text_gives_the_same_steps(text: str, data: st.DataObject) -> None:
    reader, got, at = TagReader(), [], 0
    while at < len(text):
        length = data.draw(st.integers(1, 9))
        got += reader.feed(text[at : at + length])
        at += length
    got += reader.finish()
    assert merged(got) == merged(steps_of(text))


def merged(steps: list[object]) -> list[object]:
    """Join neighbours that are spoken alike."""
    found: list[object] = []
    for step in steps:
        if isinstance(step, Say) and found and isinstance(found[-1], Say) and step.is_like(found[-1]):
            found[-1] = Say(found[-1].text + step.text, step.voice)
        else:
            found.append(step)
    return found


@pytest.mark.parametrize("nasty", ["[", "[pause:", "[voice:", "[voice:a", "[pause:1 ", "[pause:1]"])
def test_a_million_characters_of_half_tags_are_read_in_a_second(nasty: str) -> None:
    started = time.process_time()
    steps_of((nasty * 1_000_000)[:1_000_000])
    assert time.process_time() - started < 1.5
