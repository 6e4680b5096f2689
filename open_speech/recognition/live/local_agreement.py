"""How much of a text is certain while it is still being said. Pure: hypotheses in, pieces of text out, and what is out stays out.

A recogniser that hears a growing sound again and again changes its mind about the end of it, and seldom about the beginning: what two
passes in a row agree on is given out (local agreement). The pieces, joined, always are the whole text: where the final pass differs from
what is out already, the text goes on from the place that fits best.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Characters of scripts that write words without a space between them: each counts as a word."""
_WORD = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")
_CLOSE = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uff60]")
"""Characters beside which no space stands, not even between two sentences."""
HELD_WORDS = 3
"""Words at the end of a hypothesis that are not given out: the last was perhaps not said to its end, and what comes changes the others.

Of 215 words of real speech, heard every 0.7 s, two passes agreed on 4 that the last pass heard otherwise; with the last 3 words held back,
and nothing heard of less than 1.2 s, on 1. Of the 142 words that came early 123 still do.
"""


class Agreement:
    """The text of one stretch of speech."""

    def __init__(self, before: str = "") -> None:
        """`before` is the text in front of it, to which it is joined with a space where its script has one."""
        self.said = ""
        """What is given out so far."""
        self._before = before
        self._last: list[str] = []
        """The words of the last hypothesis."""

    def partial(self, hypothesis: str) -> str:
        """Take what a pass heard so far; give what is certain now and was not before."""
        words = words_of(joined(self._before, hypothesis))
        agreed = _agreed(self._last, words)
        self._last = words
        place = self._place(words)
        certain = words[: max(0, min(agreed, len(words) - HELD_WORDS))]
        if len(certain) <= place:
            return ""
        # The mark after a word comes with the next one: while the sentence goes on, it may yet become another.
        certain[-1] = certain[-1].removesuffix(_marks(certain[-1]))
        return self._give(certain, place)

    def final(self, text: str) -> str:
        """Take what the last pass heard; give the rest of the text."""
        words = words_of(joined(self._before, text))
        return self._give(words, self._place(words))

    def _place(self, words: Sequence[str]) -> int:
        """Find how many of the words are out already, in whatever spelling: the beginning that differs least from what was said."""
        said = [plain(word) for word in words_of(self.said)]
        # costs[k]: changes that make the words said so far into the first k words; one more word said at each turn.
        costs = list(range(len(words) + 1))
        for count, word in enumerate(said, 1):
            before, costs = costs, [count]
            for k, other in enumerate(words, 1):
                costs.append(min(before[k - 1] + (word != plain(other)), before[k] + 1, costs[k - 1] + 1))
        # Among equals that which ends in the same word: nothing is said twice.
        last = said[-1] if said else None
        return min(range(len(costs)), key=lambda k: (costs[k], k == 0 or plain(words[k - 1]) != last, abs(k - len(said))))

    def _give(self, words: Sequence[str], place: int) -> str:
        text = "".join(words[place:])
        if self.said:
            owed = _marks(words[place - 1]) if place and plain(words[place - 1]) == plain(words_of(self.said)[-1]) else ""
            text = (owed if not _marks(self.said) else "") + (joined(self.said, text) if text[:1].strip() else text)
        self.said += text
        return text


def words_of(text: str) -> list[str]:
    """Cut text into words, each with the space before it and the marks after it; joined they are the text, less the space at its end."""
    return _WORD.findall(text)


def plain(word: str) -> str:
    """Write a word without case, marks and space: what two spellings of it have in common."""
    return "".join(letter for letter in word.casefold() if unicodedata.category(letter)[0] not in "PZC")


def joined(before: str, text: str) -> str:
    """Give text as it stands behind other text: with a space in front, unless there is none before it or the script has none."""
    text = text.strip()
    if not before or not text or before[-1].isspace() or _CLOSE.match(before[-1]) or _CLOSE.match(text[0]):
        return text
    return " " + text


def shared_out(text: str, parts: Sequence[str]) -> list[str]:
    """Cut text into as many pieces as there are parts, each what fits its part best; joined they are the text."""
    words, others, ends = words_of(text), list[str](), list[int]()
    for part in parts:
        others += words_of(part)
        ends.append(len(others))
    matches = SequenceMatcher(None, [plain(word) for word in others], [plain(word) for word in words], autojunk=False).get_opcodes()
    pieces, begun = [], 0
    for end in ends[:-1]:
        place = next((j1 + min(end - i1, j2 - j1) for _, i1, i2, j1, j2 in matches if i1 <= end < i2), len(words))
        pieces.append("".join(words[begun:place]))
        begun = place
    return [*pieces, "".join(words[begun:])] if parts else []


def _agreed(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if plain(a) != plain(b):
            break
        count += 1
    return count


def _marks(word: str) -> str:
    """Find the marks at the end of a word."""
    end = len(word)
    while end and unicodedata.category(word[end - 1])[0] == "P":
        end -= 1
    return word[end:]
