"""Conversion of another server's partial transcripts to the items of a transcription. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from open_speech.backends import TranscribeOptions
from open_speech.errors import UnsupportedValue
from open_speech.transcript import Segment, TranscriptInfo

CHARS_PER_S = 15.0
"""Assumed speaking rate, for an estimate of the end of a segment while the text is incomplete."""
LONGEST_CHARS = 200
_SENTENCE_END = re.compile(r"[.!?…]['\")\]»”’]*(?=\s+\S)|[。！？]")


class Growing:
    """The growing transcript of one audio from a server that sends no times: they are estimates. The segments contain the exact text."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is the length of the audio; no time is beyond it."""
        self._seconds = seconds
        self._end = 0.0
        self._given = ""
        self._pending = ""

    @property
    def text(self) -> str:
        """The text fed so far."""
        return self._given + self._pending

    def feed(self, delta: str) -> Iterator[Segment]:
        """Append a delta, and yield the complete sentences as segments."""
        self._pending += delta
        while (cut := self._cut()) is not None:
            yield self._segment(cut, min(self._end + cut / CHARS_PER_S, self._seconds))

    def finish(self, whole: str | None = None) -> Iterator[Segment]:
        """Yield the rest of the text, and of `whole`, the server's final text, what it adds; earlier text is not corrected."""
        if whole is not None and whole.strip().startswith(self.text.strip()):
            self._pending += whole.strip()[len(self.text.strip()) :]
        if self._pending.strip():
            yield self._segment(len(self._pending), self._seconds)

    def _cut(self) -> int | None:
        found = _SENTENCE_END.search(self._pending)
        if found:
            return found.end()
        if len(self._pending) <= LONGEST_CHARS:
            return None
        space = self._pending.rfind(" ", 1)
        return space if space > 0 else len(self._pending)

    def _segment(self, length: int, end: float) -> Segment:
        text, self._pending = self._pending[:length], self._pending[length:]
        start, self._end = self._end, end
        self._given += text
        return Segment(start, end, text)


def announced(items: Iterable[Segment | str | None], seconds: float, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
    """Yield the info, then the segments; a second info if the language arrives later. `items` are segments and language codes (or None).

    `seconds` is the length of the audio. Raises UnsupportedValue with `model` if only the language was requested and is not reported.
    """
    told = options.language
    info = TranscriptInfo(told or "en", 1.0 if told else 0.0, seconds, options.task)
    begun = False
    for item in items:
        if isinstance(item, Segment):
            if not begun and not options.detect_only:
                yield info
            begun = True
            if not options.detect_only:
                yield item
        elif item and not told:
            told = item
            info = replace(info, language=told, language_probability=1.0)
            if begun and not options.detect_only:
                yield info
    if options.detect_only and begun and not told:
        raise UnsupportedValue("The server behind this model does not report the language.", param="model")
    if options.detect_only or not begun:
        yield info
