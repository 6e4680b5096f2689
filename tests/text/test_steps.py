import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.text.ipa import marked
from open_speech.text.steps import LONGEST_PAUSE_S, Pause, Say, TagReader, steps_of
from tests.growth import assert_linear


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
def test_half_tags_are_read_in_linear_time(nasty: str) -> None:
    assert_linear(steps_of, lambda chars: (nasty * chars)[:chars], 20_000)


@pytest.mark.parametrize(
    ("text", "word", "ipa"),
    [
        ("Say [Kokoro](/kˈOkəɹO/) now", "Kokoro", "kˈOkəɹO"),
        ("[Nguyen](/wˈɪn/)", "Nguyen", "wˈɪn"),
        ("[New York](/nuː jˈɔːɹk/) city", "New York", "nuː jˈɔːɹk"),
        ("a [tomato](/təˈmɑːtəʊ/).", "tomato", "təˈmɑːtəʊ"),
        ("[hello](/ həlˈO /)", "hello", "həlˈO"),
        ("[x](/ɛks wʌn/) [y](/waɪ/)", "x", "ɛks wʌn"),
    ],
)
def test_a_word_with_phonemes_behind_it_is_spoken_as_they_say(text: str, word: str, ipa: str) -> None:
    (with_phonemes,), (without,) = steps_of(text, phonemes=True), steps_of(text)
    assert isinstance(with_phonemes, Say) and isinstance(without, Say)
    assert marked(ipa) in with_phonemes.text and word not in with_phonemes.text
    assert word in without.text and "/" not in without.text
    reader = TagReader(phonemes=True)
    chopped = [step for char in text for step in reader.feed(char)] + list(reader.finish())
    assert "".join(step.text for step in chopped if isinstance(step, Say)) == with_phonemes.text


@pytest.mark.parametrize("text", ["[the docs](/docs/)", "[a](b)", "[1] and (/x/)", "[x](https://example.org/)", "[a](/b/c/)"])
def test_a_link_is_no_phonemes(text: str) -> None:
    assert steps_of(text, phonemes=True) == [Say(text)]
