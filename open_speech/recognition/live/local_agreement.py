"""Local agreement: finds the stable part of the text of an utterance in progress. Pure: hypotheses in, text deltas out.

When growing audio is transcribed repeatedly, the end of the text changes often and its beginning seldom: text on which two consecutive
passes agree is sent. Text that was sent never changes, and the deltas, joined, are the whole text: where the final pass differs from the
text that was sent, the text continues at the position that fits best.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Characters of scripts without spaces between words: each character counts as a word."""
_WORD = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")
_CLOSE = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uff60]")
"""Characters without a space next to them, not even between two sentences."""
HELD_BACK_WORDS = 3
"""Words at the end of a hypothesis that are not sent: the last one may be incomplete, and later speech may change the others.

Of 215 words of real speech, transcribed every 0.7 s, two passes agreed on 4 that differed in the final pass; with the last 3 words held
back and no pass before 1.2 s, on 1. Of the 142 words that were sent early, 123 still are.
"""


class Agreement:
    """The text of one window of speech, sent in deltas."""

    def __init__(self, before: str = "") -> None:
        """`before` is the preceding text; a space is added between the two if the script uses spaces."""
        self.sent_text = ""
        """The text sent so far."""
        self._before = before
        self._last: list[str] = []
        """The words of the last hypothesis."""

    def partial(self, hypothesis: str) -> str:
        """Take the text of a partial pass; return the text that became stable with it."""
        words = words_of(joined(self._before, hypothesis))
        agreed = _agreed(self._last, words)
        self._last = words
        place = self._place(words)
        stable = words[: max(0, min(agreed, len(words) - HELD_BACK_WORDS))]
        if len(stable) <= place:
            return ""
        # Punctuation after a word is sent with the next word: while the sentence continues, it may still change.
        stable[-1] = stable[-1].removesuffix(_marks(stable[-1]))
        return self._delta(stable, place)

    def final(self, text: str) -> str:
        """Take the text of the final pass; return the rest of the text."""
        words = words_of(joined(self._before, text))
        return self._delta(words, self._place(words))

    def _place(self, words: Sequence[str]) -> int:
        """Return how many of the words were sent already, in any spelling: the prefix that differs least from the text sent so far."""
        sent = [plain(word) for word in words_of(self.sent_text)]
        # costs[k]: edits that turn the words sent so far into the first k words; each iteration adds one sent word.
        costs = list(range(len(words) + 1))
        for count, word in enumerate(sent, 1):
            before, costs = costs, [count]
            for k, other in enumerate(words, 1):
                costs.append(min(before[k - 1] + (word != plain(other)), before[k] + 1, costs[k - 1] + 1))
        # Among equal costs, prefer the prefix that ends in the same word, so that no word is sent twice.
        last = sent[-1] if sent else None
        return min(range(len(costs)), key=lambda k: (costs[k], k == 0 or plain(words[k - 1]) != last, abs(k - len(sent))))

    def _delta(self, words: Sequence[str], place: int) -> str:
        text = "".join(words[place:])
        if self.sent_text:
            marks = _marks(words[place - 1]) if place and plain(words[place - 1]) == plain(words_of(self.sent_text)[-1]) else ""
            text = (marks if not _marks(self.sent_text) else "") + (joined(self.sent_text, text) if text[:1].strip() else text)
        self.sent_text += text
        return text


def words_of(text: str) -> list[str]:
    """Split text into words, each with preceding space and following punctuation; joined, they are the text without trailing space."""
    return _WORD.findall(text)


def plain(word: str) -> str:
    """Return a word in lower case without punctuation and spaces, for comparisons."""
    return "".join(letter for letter in word.casefold() if unicodedata.category(letter)[0] not in "PZC")


def joined(before: str, text: str) -> str:
    """Return text as a continuation of `before`: with a leading space, unless `before` is empty or the script has no spaces."""
    text = text.strip()
    if not before or not text or before[-1].isspace() or _CLOSE.match(before[-1]) or _CLOSE.match(text[0]):
        return text
    return " " + text


def shared_out(text: str, parts: Sequence[str]) -> list[str]:
    """Split text into one piece per part, each the best match for its part; joined, the pieces are the text."""
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
    """Return how many words at the beginning are the same."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if plain(a) != plain(b):
            break
        count += 1
    return count


def _marks(word: str) -> str:
    """Return the punctuation at the end of a word."""
    end = len(word)
    while end and unicodedata.category(word[end - 1])[0] == "P":
        end -= 1
    return word[end:]
