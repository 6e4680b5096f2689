"""The table of English: every row is read as it is meant, whole and in pieces as it arrives."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from open_speech.text.chunking import Chunker
from open_speech.text.cleanup import Cleaner
from open_speech.text.spoken_form import spoken
from tests.text.normalization.tables import rows

ROWS = rows("en")
FEWEST_ROWS = 600


def chunked(text: str, length: int) -> str:
    """Send a text in chunks of a length through what cuts it, and return all that is spoken."""
    cleaner, cutter = Cleaner(), Chunker(first_chars=80, piece_chars=400, say=partial(spoken, language="en-US"))
    said: list[str] = []
    for at in range(0, len(text), length):
        said += cutter.feed(cleaner.feed(text[at : at + length]))
    said += [*cutter.feed(cleaner.finish()), *cutter.flush()]
    return " ".join(" ".join(said).split())


def test_the_table_is_large_and_has_no_row_twice() -> None:
    assert len(ROWS) >= FEWEST_ROWS
    assert [written for written, count in Counter(written for _, written, _ in ROWS).items() if count > 1] == []
    assert min(Counter(kind for kind, _, _ in ROWS).values()) >= 20


@pytest.mark.parametrize(("kind", "written", "said"), ROWS)
def test_a_written_form_is_said_as_it_is_meant(kind: str, written: str, said: str) -> None:
    assert spoken(written, "en-US") == said


@pytest.mark.parametrize("length", [1, 3, 7])
def test_text_that_arrives_in_chunks_is_said_in_the_same_way(length: int) -> None:
    differing = [(written, got) for _, written, said in ROWS if (got := chunked(written, length)).rstrip(".") != said.rstrip(".")]
    assert differing == []
