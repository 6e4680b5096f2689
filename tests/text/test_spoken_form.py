import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.text.ipa import marked
from open_speech.text.spoken_form import spoken
from tests.growth import assert_linear


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("I have 2 apples.", "I have two apples."),
        ("It is 1,000,567 or 3.14.", "It is one million five hundred sixty-seven or three point one four."),
        ("agent 007", "agent zero zero seven"),
        ("It cost $5.", "It cost five dollars."),
        ("$1.50, £10k and 5 €", "one dollar and fifty cents, ten thousand pounds and five euros"),
        ("€3.2 million", "three point two million euros"),
        ("$1, $0.99, $1,200.50", "one dollar, ninety-nine cents, one thousand two hundred dollars and fifty cents"),
        ("on 2026-07-04", "on July fourth, twenty twenty-six"),
        ("on 07/04/2026 or 31/12/2026", "on July fourth, twenty twenty-six or December thirty-first, twenty twenty-six"),
        ("July 4, 2026 and Jan. 5", "July fourth, twenty twenty-six and January fifth"),
        ("on 4 July 2026", "on the fourth of July twenty twenty-six"),
        ("at 10:30 p.m. and 9:05", "at ten thirty PM and nine oh five"),
        ("It began at 5 p.m.", "It began at five PM."),
        ("from 14:00", "from fourteen hundred"),
        ("a score of 3:2", "a score of three to two"),
        ("call 555-123-4567", "call five five five, one two three, four five six seven"),
        ("call +44 20 7946 0958", "call plus four four, two zero, seven nine four six, zero nine five eight"),
        ("50% of 5 km at 20 °C", "fifty percent of five kilometers at twenty degrees Celsius"),
        ("1 kg, 6 ft and 60 mph", "one kilogram, six feet and sixty miles per hour"),
        ("3.5 GB, 100 m²", "three point five gigabytes, one hundred square meters"),
        ("the 1st, 22nd and 103rd", "the first, twenty-second and one hundred third"),
        ("the 1980s and the 90s", "the nineteen eighties and the nineties"),
        ("in 1984 1500 people", "in nineteen eighty-four one thousand five hundred people"),
        ("5-10 items, pages 3–4", "five to ten items, pages three to four"),
        ("it is -5 outside", "it is minus five outside"),
        ("1/2 cup, 3½ hours, 24/7", "one half cup, three and a half hours, twenty-four seven"),
        ("#5, No. 7", "number five, number seven"),
        ("version 1.2.3", "version one point two point three"),
        ("5x faster", "five times faster"),
        ("GPT-4, mp3, B2B and H2O", "GPT-four, mp3, B2B and H2O"),
        ("Dr. Smith met Mr. Jones at St. Paul.", "Doctor Smith met Mister Jones at Saint Paul."),
        ("apples vs. pears, e.g. these, etc.", "apples versus pears, for example these, et cetera."),
        ("R&D & more, 2 + 2 = 4", "R and D and more, two plus two equals four"),
        ("See https://example.org/a_b/c-d?x=1.", "See example dot org slash a underscore b slash c dash d question mark x equals one."),
        ("visit www.example.com or example.org!", "visit www dot example dot com or example dot org!"),
        ("write to joe.doe@mail.example.com.", "write to joe dot doe at mail dot example dot com."),
    ],
)
def test_figures_and_signs_are_put_into_words(written: str, said: str) -> None:
    assert spoken(written, "en-US") == said


def test_outside_america_the_day_comes_first() -> None:
    assert spoken("07/04/2026", "en-GB") == "April seventh, twenty twenty-six"


@pytest.mark.parametrize("language", ["ru", "pl-PL", "", "zh"])
def test_other_languages_are_left_to_their_engine(language: str) -> None:
    assert spoken("5 km für $5", language) == "5 km für $5"


def test_phonemes_stay_as_they_are() -> None:
    assert spoken(f"2 {marked('tuː2')} 2", "en") == f"two {marked('tuː2')} two"


SNIPPETS = "apple Bob may march no in the at is I a to from 12 3.5 $7 50% 10:30 1984 - , . ! ( ) / & 2nd May St. Dr. x@y.org".split()
WORDS = st.lists(st.sampled_from(SNIPPETS), max_size=30).map(" ".join)


@given(WORDS)
def test_no_word_is_lost(text: str) -> None:
    said = spoken(text, "en").lower()
    kept = [word for word in re.findall(r"(?<![\w@.$])(apple|bob|is|i|to|from|at|in)(?![\w.@])", text.lower())]
    place = 0
    for word in kept:
        found = re.compile(rf"\b{word}\b").search(said, place)
        assert found, (word, said)
        place = found.end()


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert isinstance(spoken(text, "en"), str)


@pytest.mark.parametrize(
    "nasty",
    ["1", "1,", "1,000,", "1.", "a.", "a@", "a.b@", "1-", "1/", "1:", "$1", "+1 1", "http://", "www.", "a.com/", "1 ", "- ", "Jan 1 ",
     "x@a.", "-1", "1°", "St. ", "the ", "(1", "111-", "+11 111 ", "&", "a-", "01/", "555-555-", "the 1 of ", "x + ", "a_", "#a", "1 x ",
     "√", "½", "John 3:1", '1"', "v1.", "I ", "$1-",
     "1%-", "1 1/", "/a", "~/", "0x", "(a ", "a^", "a = ", "<",
     "1 000 ", "'90", "1h ", "£1m–"],
)  # fmt: skip
def test_a_sentence_of_any_kind_is_read_in_linear_time(nasty: str) -> None:
    assert_linear(lambda text: spoken(text, "en"), lambda chars: (nasty * chars)[:chars], 2000)
