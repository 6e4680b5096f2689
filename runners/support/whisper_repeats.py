"""The check of a sentence that is repeated in one window: Whisper often returns it once too often or once too rarely. Pure.

The number of repetitions is known from the speech detector: that many speech segments of equal length, with silence between them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from runners.support.whisper_checks import Speech, spoken_s

GAPS_S = (0.1, 0.3, 0.45, 0.6)
"""Minimum silences, in seconds, that are tried for the split of a window. A sentence may contain shorter silences."""
ALIKE_S, ALIKE = 0.1, 0.08
"""Allowed difference between two speech segments of the same sentence: seconds, plus this share of their length."""
SLOW = 2.2
"""Words per second of speech below which a text without a repetition may lack some. People speak 2.5 and more."""
LEAST_ALIKE = 0.6
"""Minimum share of the parts that must have the same words."""


def miscounted(text: str, speech: Speech, seconds: float) -> list[tuple[float, float]]:
    """Return the start and end of each part of a window of `seconds`, if its text repeats a sentence more or less often than its speech.

    Empty if the numbers agree. Only the decoding of the parts shows whether they contain the same sentence: see `agree`.
    """
    words = words_of(text)
    parts = repetitions(speech, seconds)
    times = times_written(words)
    if not words or len(parts) < 2 or times == len(parts):
        return []
    if times == 1 and len(words) >= SLOW * spoken_s(speech, 0, seconds):
        return []
    return parts


def agree(texts: Sequence[str]) -> bool:
    """Return whether most parts of a window have the same words, and the others a similar number of words."""
    found = [words_of(text) for text in texts]
    (most, count), *_ = Counter(map(tuple, found)).most_common(1)
    return bool(most) and count >= LEAST_ALIKE * len(found) and all(abs(len(words) - len(most)) <= 2 for words in found)


def repetitions(speech: Speech, seconds: float) -> list[tuple[float, float]]:
    """Split a window at silences into as many parts as possible with equally long speech; empty if fewer than two are possible.

    Returns the start and end of each part; adjacent parts meet in the middle of a silence.
    """
    divisions = (_joined(speech, gap_s) for gap_s in GAPS_S)
    best = max((division for division in divisions if _alike(division)), key=len, default=[])
    places = [(one_end + start) / 2 for (_, one_end), (start, _) in zip(best, best[1:], strict=False)]
    return list(zip([0.0, *places], [*places, seconds], strict=True)) if places else []


def times_written(words: Sequence[str]) -> int:
    """Return how many times a text consists of the same words: 1 if the text as a whole is not a repetition."""
    for length in range(1, len(words) // 2 + 1):
        if len(words) % length == 0 and list(words) == list(words[:length]) * (len(words) // length):
            return len(words) // length
    return 1


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    return re.findall(r"[\w']+", text.lower())


def _joined(speech: Speech, gap_s: float) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start, end in speech:
        if joined and start - joined[-1][1] < gap_s:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _alike(division: Sequence[tuple[float, float]]) -> bool:
    lengths = [end - start for start, end in division]
    return len(lengths) > 1 and max(lengths) - min(lengths) <= ALIKE_S + ALIKE * min(lengths)
