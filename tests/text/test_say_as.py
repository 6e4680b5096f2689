import pytest

from open_speech.text.say_as import say_as


@pytest.mark.parametrize(
    ("text", "kind", "form", "said"),
    [
        ("12345", "cardinal", "", "twelve thousand three hundred forty-five"),
        ("-1,000.5", "cardinal", "", "minus one thousand point five"),
        ("007", "number", "", "seven"),
        ("21", "ordinal", "", "twenty-first"),
        ("3rd", "ordinal", "", "third"),
        ("2026", "digits", "", "two zero two six"),
        ("W3C", "characters", "", "W, three, C"),
        ("a-b", "spell-out", "", "A, dash, B"),
        ("2/3/2026", "date", "mdy", "February third, twenty twenty-six"),
        ("2/3/2026", "date", "dmy", "March second, twenty twenty-six"),
        ("2026-03-02", "date", "", "March second, twenty twenty-six"),
        ("5/2026", "date", "my", "May twenty twenty-six"),
        ("1984", "date", "y", "nineteen eighty-four"),
        ("10:30pm", "time", "", "ten thirty PM"),
        ("9:00 a.m.", "time", "", "nine AM"),
        ("14:05:09", "time", "hms24", "fourteen oh five and nine seconds"),
        ("+1 (555) 123-4567", "telephone", "", "plus one, five five five, one two three, four five six seven"),
        ("$5.20", "currency", "", "five dollars and twenty cents"),
    ],
)
def test_a_text_is_said_as_it_is_asked(text: str, kind: str, form: str, said: str) -> None:
    assert say_as(text, kind, form, "en-US") == said


@pytest.mark.parametrize(
    ("text", "kind", "form"),
    [("many", "cardinal", ""), ("", "cardinal", ""), ("x", "ordinal", ""), ("1-2", "digits", ""), ("soon", "date", "mdy"),
     ("40/40/2026", "date", "mdy"),
     ("1/2/3", "date", "md"), ("1/2/2026", "date", "xyz"), ("25:99", "time", ""), ("call me", "telephone", ""), ("text", "unknown", "")],
)  # fmt: skip
def test_what_is_not_of_the_kind_is_read_as_it_is(text: str, kind: str, form: str) -> None:
    assert say_as(text, kind, form, "en") == text


def test_in_other_languages_only_characters_are_told_apart() -> None:
    assert say_as("A1", "characters", "", "de") == "A, 1"
    assert say_as("12", "cardinal", "", "de") == "12"


def test_a_long_text_is_not_spelled() -> None:
    assert say_as("a" * 1000, "characters", "", "en") == "a" * 1000
