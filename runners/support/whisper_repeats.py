"""A sentence that is said several times in one window: Whisper likes to write it once too often or too rarely. Pure.

How often it is said is known from the speech detector: that many stretches of one length, with silence between them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from runners.support.whisper_checks import Speech, spoken_s

GAPS_S = (0.1, 0.3, 0.45, 0.6)
"""The shortest silences, in seconds, by which a window is tried to be divided. A sentence may have shorter ones inside."""
ALIKE_S, ALIKE = 0.1, 0.08
"""How much two stretches of the same sentence may differ: so many seconds, and this share of their length."""
SLOW = 2.2
"""Words per second of speech below which a text without a repetition may have left some out. People say 2.5 and more."""
LEAST_ALIKE = 0.6
"""The share of the parts that must have the same words."""


def miscounted(text: str, speech: Speech, seconds: float) -> list[tuple[float, float]]:
    """Return start and end of each part of a window of `seconds` if its text has a sentence more or less often than it seems to be said.

    Empty if nothing is wrong. Whether the parts do hold the same sentence is known when they are decoded: see `agree`.
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
    """Return whether most parts of a window have the same words, and the others about as many."""
    found = [words_of(text) for text in texts]
    (most, count), *_ = Counter(map(tuple, found)).most_common(1)
    return bool(most) and count >= LEAST_ALIKE * len(found) and all(abs(len(words) - len(most)) <= 2 for words in found)


def repetitions(speech: Speech, seconds: float) -> list[tuple[float, float]]:
    """Divide a window into as many parts of one length of speech as its silences allow; empty if there are not two.

    Returns start and end of each part; they meet in the middle of the silences.
    """
    divisions = (_joined(speech, gap_s) for gap_s in GAPS_S)
    best = max((division for division in divisions if _alike(division)), key=len, default=[])
    places = [(one_end + start) / 2 for (_, one_end), (start, _) in zip(best, best[1:], strict=False)]
    return list(zip([0.0, *places], [*places, seconds], strict=True)) if places else []


def times_written(words: Sequence[str]) -> int:
    """Return how many times a text says the same words: 1 if it does not repeat itself as a whole."""
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
