"""Cuts phonemes into pieces of the length that Kokoro reads at once. Pure."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence

LONGEST = 510
"""Maximum signs in one piece: the model's context of 512, without the two at its ends."""
_CUTS = tuple(re.compile(before + r"\s+") for before in (r"(?<=[.!?…])", r"(?<=[,;:])", ""))
"""The places where phonemes are cut, best first: after a sentence, after a clause, between words."""


def phoneme_pieces(phonemes: str, longest: int = LONGEST) -> list[str]:
    """Cut phonemes into as few pieces of at most `longest` signs as possible; none is empty.

    The pieces have similar lengths: Kokoro speaks a short remainder at another speed and loudness than the piece before it. A run
    without a space that is longer than `longest` is cut anywhere.
    """
    units = list(_units(phonemes.strip(), longest, _CUTS))
    if not units:
        return []
    fewest = len(_filled(units, longest))
    lengths = range(max(map(len, units)), longest + 1)
    shortest = lengths[bisect.bisect_left(lengths, True, key=lambda length: len(_filled(units, length)) <= fewest)]
    return _filled(units, shortest)


def _units(phonemes: str, longest: int, cuts: Sequence[re.Pattern[str]]) -> Iterator[str]:
    """Yield the parts of `phonemes` between the best cuts that make them short enough."""
    if len(phonemes) <= longest:
        if phonemes:
            yield phonemes
    elif not cuts:
        yield from (phonemes[start : start + longest] for start in range(0, len(phonemes), longest))
    else:
        for part in cuts[0].split(phonemes):
            yield from _units(part.strip(), longest, cuts[1:])


def _filled(units: Sequence[str], longest: int) -> list[str]:
    """Join neighbours, with a space, as long as the result has at most `longest` signs."""
    joined: list[str] = []
    for unit in units:
        if joined and len(joined[-1]) + 1 + len(unit) <= longest:
            joined[-1] += f" {unit}"
        else:
            joined.append(unit)
    return joined
