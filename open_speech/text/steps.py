"""A text as steps: what to speak and how, and where to pause. Pure.

Plain text may contain the tags `[pause:0.5]` (seconds) and `[voice:af_sky]` (from here on; `[voice:]` restores the voice of the request),
so a dialogue of several voices is one request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from open_speech.text.ipa import marked, without_private

LONGEST_PAUSE_S = 30.0
"""Maximum seconds of a pause; longer pauses are shortened."""
_TAG = re.compile(r"\[pause:[ \t]?(\d{1,4}(?:\.\d{1,4})?)[ \t]?s?\]|\[voice:[ \t]?([\w.()+#-]{0,200})[ \t]?\]", re.ASCII | re.IGNORECASE)
_HEADS = ("[pause:", "[voice:")
_LONGEST_TAG = 220
_PRONOUNCED = re.compile(r"\[([^\[\]\n]{1,100})\]\(/([^/()\n]{1,120})/\)")
"""`[word](/phonemes/)`, as sent by clients of Kokoro-FastAPI."""
_PRONOUNCED_BEGUN = re.compile(r"\[[^\[\]\n]{0,100}(?:\](?:\((?:/(?:[^/()\n]{0,120}/?)?)?)?)?$")


@dataclass(frozen=True, slots=True)
class Say:
    """Text to speak. Consecutive texts with the same parameters are spoken as one."""

    text: str
    voice: str | None = None
    """None uses the voice of the request."""
    speed: float = 1.0
    """A factor for the speed of the request."""
    volume_db: float = 0.0
    language: str | None = None
    """ISO-639-1 code or BCP-47 tag; None uses the language of the request."""
    model: str = ""
    """Id of another model that speaks the text; empty for the model of the request."""

    def is_like(self, other: Say) -> bool:
        """Return whether two texts have the same parameters."""
        return replace(self, text="") == replace(other, text="")


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A named position in the text."""

    name: str


@dataclass(frozen=True, slots=True)
class Flush:
    """Speak the text so far without waiting for more."""


@dataclass(frozen=True, slots=True)
class Lull:
    """A pause in the incoming text: a sentence that looks complete is spoken without waiting for the next one."""


Step = Say | Pause | Mark | Flush | Lull


class TagReader:
    """Parses plain text with tags, in fragments of any length, into steps."""

    def __init__(self, *, phonemes: bool = False) -> None:
        """With `phonemes` the engine speaks the phonemes of `[word](/phonemes/)`; otherwise it speaks the word."""
        self._phonemes = phonemes
        self._voice: str | None = None
        self._held = ""

    def feed(self, text: str) -> Iterator[Step]:
        """Add text; yield the steps. A tag that may be incomplete waits for more text."""
        text = self._held + without_private(text)
        self._held = _begun_tag(text)
        yield from self._steps(text[: len(text) - len(self._held)])

    def finish(self) -> Iterator[Step]:
        """Yield the remaining steps."""
        held, self._held = self._held, ""
        yield from self._steps(held)

    def _pronounced(self, found: re.Match[str]) -> str:
        if not _is_phonemic(found[2]) or not found[2].strip():
            return found[0]
        return marked(found[2]) if self._phonemes else found[1]

    def _steps(self, text: str) -> Iterator[Step]:
        text = _PRONOUNCED.sub(self._pronounced, text)
        place = 0
        for tag in _TAG.finditer(text):
            if tag.start() > place:
                yield Say(text[place : tag.start()], self._voice)
            place = tag.end()
            if tag[1] is not None:
                yield Pause(min(float(tag[1]), LONGEST_PAUSE_S))
            else:
                self._voice = tag[2] or None
        if place < len(text):
            yield Say(text[place:], self._voice)


def _is_phonemic(written: str) -> bool:
    """Return whether a text is phonemes and not a path such as `/docs/`: phonemes contain phonetic letters or stress marks."""
    return not written.isascii()


def steps_of(text: str, *, phonemes: bool = False) -> list[Step]:
    """Parse a whole text with its tags; `phonemes` is as in TagReader."""
    reader = TagReader(phonemes=phonemes)
    return [*reader.feed(text), *reader.finish()]


def _begun_tag(text: str) -> str:
    """Return the end of a text that may be the beginning of a tag."""
    if (begun := _PRONOUNCED_BEGUN.search(text, max(0, len(text) - 2 * _LONGEST_TAG))) is not None:
        return begun[0]
    tail = text[max(text.rfind("["), 0) :]
    if not tail.startswith("[") or "]" in tail or len(tail) > _LONGEST_TAG:
        return ""
    head = tail[: len(_HEADS[0])].lower()
    return tail if any(known.startswith(head) for known in _HEADS) else ""
