import pytest

from open_speech.text.ipa import LONGEST, around, marked, split, without_private


def test_phonemes_stand_in_a_text_as_one_word() -> None:
    text = f"say {marked('təˈmeɪ  toʊ')} now"
    assert len(text.split()) == 3
    assert split(text) == [("say ", False), ("təˈmeɪ toʊ", True), (" now", False)]


def test_a_text_without_phonemes_is_one_stretch() -> None:
    assert split("plain") == [("plain", False)]
    assert split("") == []


@pytest.mark.parametrize("phonemes", ["", "  ", "a" * (LONGEST + 1), "\ue010\ue011"])
def test_no_phonemes_and_too_many_are_refused(phonemes: str) -> None:
    with pytest.raises(ValueError, match="phonemes"):
        marked(phonemes)


def test_only_what_is_written_is_rewritten() -> None:
    assert around(f"a {marked('a')} a", str.upper) == f"A {marked('a')} A"


def test_marks_from_outside_are_dropped() -> None:
    assert split(without_private(f"a {marked('b')} c")) == [("a b c", False)]


def test_a_mark_without_its_other_half_is_text() -> None:
    assert split("a \ue010b") == [("a \ue010b", False)]
