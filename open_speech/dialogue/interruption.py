"""Interruptions: whether speech of the user ends what the server is saying. Pure: no clock, no API.

Every API with spoken answers asks `decide`, again whenever it knows more: the speech goes on, words are recognized, or it ended. Until the
verdict is INTERRUPT or IGNORE, the answer goes on, or is paused where the server controls the playback (WebRTC, the Live API). A client
that plays the audio itself (the Realtime API over WebSocket) cannot be paused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from open_speech.dialogue.comparable_text import comparable

BACKCHANNEL_S = 1.0
"""Maximum seconds of a backchannel; longer speech is not one, whatever its words are."""
BACKCHANNELS: Mapping[str, tuple[str, ...]] = {
    "de": ("mhm", "hm", "aha", "ja", "jaja", "ach so", "okay", "ok", "genau", "klar"),
    "en": ("mhm", "mm", "mmm", "mm hmm", "mm hm", "hm", "hmm", "uh huh", "aha", "ah", "oh", "yeah", "yep", "okay", "ok", "right", "i see"),
    "es": ("mhm", "mm", "aja", "ajá", "ya", "sí", "vale", "claro", "ok"),
    "fr": ("mhm", "hm", "hum", "ah", "oui", "ouais", "d'accord", "ok"),
    "hi": ("hm", "हम्म", "हाँ", "हां", "जी", "अच्छा", "ठीक है"),
    "it": ("mhm", "mm", "ah", "sì", "già", "certo", "ok"),
    "ja": ("うん", "ええ", "はい", "へえ", "なるほど", "そうですね"),
    "ko": ("음", "응", "네", "예", "그래요", "아"),
    "nl": ("mhm", "hm", "ja", "oké", "ok", "precies"),
    "pl": ("mhm", "hm", "aha", "tak", "no", "jasne", "ok"),
    "pt": ("mhm", "aham", "uhum", "sim", "tá", "certo", "ok"),
    "ru": ("мм", "хм", "угу", "ага", "да", "ясно", "понятно", "ок"),
    "zh": ("嗯", "嗯嗯", "哦", "对", "好", "好的", "是的"),
}  # fmt: skip
"""Short words by language with which a listener shows attention, and does not ask for the floor."""


class Verdict(Enum):
    """What the speech means for the answer that is being spoken."""

    CONTINUE = "continue"
    """Not decided: the answer goes on."""
    PAUSE = "pause"
    """Not decided: the playback is held meanwhile."""
    INTERRUPT = "interrupt"
    """The user takes the floor: the answer ends, and the speech is a turn."""
    IGNORE = "ignore"
    """A noise, an echo or a backchannel: the answer goes on where it was, and the speech is no turn."""


@dataclass(frozen=True, slots=True)
class InterruptionRules:
    """When speech interrupts an answer. With the default values any speech does, at its start."""

    after_s: float = 0.0
    """Seconds that the speech must last."""
    min_words: int = 0
    """Words that must be recognized."""
    backchannels: frozenset[str] = frozenset()
    """Words and phrases that do not interrupt, in the form of `comparable`; empty: every word does."""
    echo_guard_s: float = 0.0
    """Seconds from the start of an answer in which speech does not count: without headphones it may be an echo of the answer."""
    resume_after_s: float = 2.0
    """Seconds without a word after the end of the speech until a paused answer goes on."""

    @property
    def are_immediate(self) -> bool:
        """Whether any speech interrupts at its start."""
        return self.after_s <= 0 and self.min_words <= 0 and not self.backchannels and self.echo_guard_s <= 0


@dataclass(frozen=True, slots=True)
class Overlap:
    """What is known of the user's speech while the server speaks. Times are in seconds."""

    speech_s: float
    """Length of the speech so far, without the silence after it."""
    played_s: float
    """Time since the answer began to be played."""
    text: str = ""
    """The words that are recognized so far."""
    is_text_final: bool = False
    """Whether `text` is the whole transcript of the speech."""
    silent_s: float | None = None
    """Time since the speech ended; None: it goes on."""


def decide(rules: InterruptionRules, overlap: Overlap, *, can_pause: bool = False) -> Verdict:
    """Decide whether speech interrupts an answer. With `can_pause` the server controls the playback.

    Where the playback can be paused, speech pauses it and only a recognized word interrupts, because the answer can go on after a noise.
    While the speech goes on, it must be long enough and have enough words. When it has ended, the words alone decide: a short "Stop!"
    interrupts.
    """
    has_ended = overlap.silent_s is not None
    if overlap.played_s < rules.echo_guard_s:
        return Verdict.IGNORE if has_ended else Verdict.CONTINUE
    spoken = comparable(overlap.text)
    speech_s = overlap.speech_s
    if rules.echo_guard_s > 0 and not has_ended:
        speech_s = min(speech_s, overlap.played_s - rules.echo_guard_s)
    is_backchannel = bool(rules.backchannels) and overlap.speech_s <= BACKCHANNEL_S and (not spoken or spoken in rules.backchannels)
    is_long_enough = speech_s >= rules.after_s
    words = _words(spoken)
    if not is_backchannel:
        if has_ended and words >= max(rules.min_words, 1):
            return Verdict.INTERRUPT
        if is_long_enough and words >= max(rules.min_words, 1 if can_pause else 0):
            return Verdict.INTERRUPT
    if overlap.silent_s is not None and (overlap.is_text_final or overlap.silent_s >= rules.resume_after_s):
        return Verdict.IGNORE
    return Verdict.PAUSE if can_pause and is_long_enough and not is_backchannel else Verdict.CONTINUE


def next_decision_s(rules: InterruptionRules, overlap: Overlap) -> float | None:
    """Return in how many seconds the verdict can change although nothing new is known; None: only new words or the end can change it."""
    waits = [rules.echo_guard_s - overlap.played_s]
    if overlap.silent_s is not None:
        waits.append(rules.resume_after_s - overlap.silent_s)
    else:
        waits.append(rules.after_s - overlap.speech_s)
        waits.append(rules.echo_guard_s + rules.after_s - overlap.played_s)
        if rules.backchannels:
            # The limit itself still belongs to a backchannel.
            waits.append(BACKCHANNEL_S - overlap.speech_s + 0.001)
    return min((wait for wait in waits if wait > 0), default=None)


def backchannels(chosen: Iterable[str], language: str | None = None) -> frozenset[str]:
    """Return the backchannels of a setting, in the form of `comparable`: its words, and for `auto` those of the language.

    Without a language, `auto` stands for the lists of all languages.
    """
    found: set[str] = set()
    for word in chosen:
        if word == "auto":
            code = (language or "").partition("-")[0].casefold()
            lists = [BACKCHANNELS[code]] if code in BACKCHANNELS else BACKCHANNELS.values() if not code else ()
            found.update(phrase for phrases in lists for phrase in phrases)
        else:
            found.add(word)
    return frozenset(comparable(phrase) for phrase in found) - {""}


def _words(spoken: str) -> int:
    """Count words; in a script without spaces, two characters count as one."""
    return sum(1 if part.isascii() or not _is_unspaced(part) else (len(part) + 1) // 2 for part in spoken.split())


def _is_unspaced(part: str) -> bool:
    return any("\u3040" <= letter <= "\u30ff" or "\u3400" <= letter <= "\u9fff" for letter in part)
