import pytest

from open_speech.text.numbers_en import cardinal, clock, date, number, ordinal, plural, spelled, year


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("0", "zero"), ("7", "seven"), ("13", "thirteen"), ("20", "twenty"), ("42", "forty-two"), ("100", "one hundred"),
        ("105", "one hundred five"), ("999", "nine hundred ninety-nine"), ("1000", "one thousand"),
        ("1984", "one thousand nine hundred eighty-four"),
        ("1000001", "one million one"), ("2000000000", "two billion"), ("007", "zero zero seven"),
        ("1234567890123456", "one two three four five six seven eight nine zero one two three four five six"),
    ],
)  # fmt: skip
def test_a_whole_number_is_said_in_words(digits: str, words: str) -> None:
    assert cardinal(digits) == words


@pytest.mark.parametrize(("text", "words"), [("3.14", "three point one four"), (".5", "zero point five"), ("10", "ten")])
def test_digits_after_a_point_are_said_one_by_one(text: str, words: str) -> None:
    assert number(text) == words


@pytest.mark.parametrize(
    ("digits", "words"),
    [("1", "first"), ("2", "second"), ("12", "twelfth"), ("20", "twentieth"), ("21", "twenty-first"), ("100", "one hundredth"),
     ("1009", "one thousand ninth")],
)  # fmt: skip
def test_a_place_in_a_row_is_said_in_words(digits: str, words: str) -> None:
    assert ordinal(digits) == words


@pytest.mark.parametrize(
    ("digits", "words"),
    [("1984", "nineteen eighty-four"), ("1900", "nineteen hundred"), ("1905", "nineteen oh five"), ("2000", "two thousand"),
     ("2005", "two thousand five"), ("2026", "twenty twenty-six"), ("1066", "ten sixty-six")],
)  # fmt: skip
def test_a_year_is_said_in_pairs(digits: str, words: str) -> None:
    assert year(digits) == words


@pytest.mark.parametrize(
    ("hours", "minutes", "words"),
    [(10, 30, "ten thirty"), (9, 5, "nine oh five"), (10, 0, "ten o'clock"), (14, 0, "fourteen hundred"), (0, 0, "midnight")],
)
def test_a_time_of_day_is_said_in_words(hours: int, minutes: int, words: str) -> None:
    assert clock(hours, minutes) == words


def test_a_date_is_said_with_what_is_known_of_it() -> None:
    assert date(4, 7, "2026") == "July fourth, twenty twenty-six"
    assert date(0, 7, "2026") == "July twenty twenty-six"
    assert date(4, 7) == "July fourth"


def test_number_words_have_a_plural() -> None:
    assert [plural(word) for word in ("eighty", "six", "ten")] == ["eighties", "sixes", "tens"]


def test_digits_are_spelled_one_by_one() -> None:
    assert spelled("101") == "one zero one"
