"""Inputs that were spoken wrongly, as they were reported, from the text of a request to what the voice gets."""

from __future__ import annotations

from functools import partial

import pytest

from open_speech.text.chunking import Chunker
from open_speech.text.cleanup import Cleaner
from open_speech.text.spoken_form import spoken

REPORTED = [
    ("The balance is -$5 today.", "The balance is minus five dollars today."),
    ("Profit rose to £3m, from $2m last year.", "Profit rose to three million pounds, from two million dollars last year."),
    ("€2.5m", "two point five million euros"),
    ("The new 7B model beats the 70B model.", "The new seven B model beats the seventy B model."),
    ("Prices fell 10%-20% last year.", "Prices fell ten to twenty percent last year."),
    ("Prices are $20-30 now.", "Prices are twenty to thirty dollars now."),
    ("Call 555-1234 now.", "Call five five five, one two three four now."),
    ("He lived 1939-1945.", "He lived nineteen thirty-nine to nineteen forty-five."),
    ("Add 1 1/2 cups of milk.", "Add one and a half cups of milk."),
    ("8 - 3 = 5", "eight minus three equals five"),
    ("If x > 5 and y < 3, stop.", "If x is greater than five and y is less than three, stop."),
    ("Area is 10² meters.", "Area is ten squared meters."),
    ("1 000 000 people", "one million people"),
    ("𝐇𝐞𝐥𝐥𝐨 everyone", "Hello everyone"),
    ("Ｈｅｌｌｏ everyone", "Hello everyone"),
    ("The <b>balance</b> is &minus;&dollar;5&nbsp;today.", "The balance is minus five dollars today."),
]


@pytest.mark.parametrize(("written", "said"), REPORTED)
@pytest.mark.parametrize("length", [1, 4, 1000])
def test_what_was_reported_is_spoken_as_it_is_meant(written: str, said: str, length: int) -> None:
    cleaner, cutter = Cleaner(), Chunker(first_chars=80, piece_chars=400, say=partial(spoken, language="en-US"))
    parts: list[str] = []
    for at in range(0, len(written), length):
        parts += cutter.feed(cleaner.feed(written[at : at + length]))
    parts += [*cutter.feed(cleaner.finish()), *cutter.flush()]
    assert " ".join(parts) == said
