"""Which replica of a backend gets a call: of two that are chosen at random, the one with less audio outstanding. Pure.

Comparing two random replicas is nearly as good as comparing all of them, and several servers that share the replicas do not all choose the
same idle one at the same moment. A slow replica has more audio outstanding than the others, and so gets fewer calls.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from open_speech.backends import STT_RATE
from open_speech.dispatch.frames import Call, DiarizeCall, GenerateCall, SpeakCall, TranscribeCall, VoiceprintsCall

CALL_S = 0.5
"""Seconds of audio that every call counts in addition to its own: an empty clip is work, too."""
SECONDS_PER_CHAR = 0.06
"""Estimated seconds of speech per character of text."""
ANSWER_S = 10.0
"""Seconds that an answer of a language model counts; its length is unknown."""
WARM_S = 5.0
"""Seconds of audio that a replica with the model must have outstanding, in excess of one without, before the model is loaded there, too."""
_PCM_BYTES = 4
"""Bytes per sample in a call."""

Sample = Callable[[list[str], int], list[str]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known of one replica."""

    work_s: float
    """Seconds of audio of the calls in progress, as `work_s` counts them."""
    has_model: bool
    """Whether the model of the call is loaded."""
    is_failing: bool = False
    """Whether it gets calls only if all others fail, too."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The replica for a call."""

    replica: str
    warm: str | None = None
    """Another replica at which the model should be loaded meanwhile, because those that have it are busy."""


def work_s(call: Call) -> float:
    """Return the work of a call, in seconds of audio."""
    match call:
        case TranscribeCall() | DiarizeCall() | VoiceprintsCall():
            return CALL_S + len(call.pcm) / (_PCM_BYTES * STT_RATE)
        case SpeakCall():
            return CALL_S + SECONDS_PER_CHAR * len(call.text)
        case GenerateCall():
            return CALL_S + ANSWER_S
        case _:
            return 0.0


def choose(candidates: Mapping[str, Candidate], avoided: Collection[str] = (), *, sample: Sample = random.sample) -> Choice:
    """Choose a replica by its address. `avoided` are those at which the call was lost before. There must be at least one candidate.

    A replica without the model gets no call as long as another one has it: the call would wait until the model is loaded.
    """
    usable = _usable(candidates, avoided)
    having = [address for address in usable if candidates[address].has_model]
    lacking = [address for address in usable if not candidates[address].has_model]
    if not having:
        return Choice(_better(candidates, lacking, sample))
    chosen = _better(candidates, having, sample)
    spare = _better(candidates, lacking, sample) if lacking else None
    is_busy = spare is not None and candidates[chosen].work_s > candidates[spare].work_s + WARM_S
    return Choice(chosen, spare if is_busy else None)


def _usable(candidates: Mapping[str, Candidate], avoided: Collection[str]) -> list[str]:
    """Return the addresses of the best replicas that there are: working and not avoided, else working, else any."""
    working = [address for address, candidate in candidates.items() if not candidate.is_failing]
    fresh = [address for address in working if address not in avoided]
    untried = [address for address in candidates if address not in avoided]
    return fresh or working or untried or list(candidates)


def _better(candidates: Mapping[str, Candidate], addresses: list[str], sample: Sample) -> str:
    """Return the less busy one of two random addresses."""
    return min(sample(addresses, min(2, len(addresses))), key=lambda address: candidates[address].work_s)
