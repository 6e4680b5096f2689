"""What a server tells of an audio, bit by bit -> the items of a transcription. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from open_speech.backends import TranscribeOptions
from open_speech.errors import UnsupportedValue
from open_speech.transcript import Segment, TranscriptInfo

CHARS_PER_S = 15.0
"""How fast people speak: by this the end of a segment is guessed while more of the text is to come."""
LONGEST_CHARS = 200
_SENTENCE_END = re.compile(r"[.!?…]['\")\]»”’]*(?=\s+\S)|[。！？]")


class Growing:
    """The text of one audio, by a server that tells no times: they are guessed. What is fed comes out in the segments, to the letter."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: of the audio; no time lies beyond."""
        self._seconds = seconds
        self._end = 0.0
        self._given = ""
        self._pending = ""

    @property
    def text(self) -> str:
        """What was fed so far."""
        return self._given + self._pending

    def feed(self, delta: str) -> Iterator[Segment]:
        """Take the next bit, give the sentences that are whole."""
        self._pending += delta
        while (cut := self._cut()) is not None:
            yield self._segment(cut, min(self._end + cut / CHARS_PER_S, self._seconds))

    def finish(self, whole: str | None = None) -> Iterator[Segment]:
        """Give what is left. `whole` is the text as the server has it in the end: what it adds is given, what was given stays."""
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
    """Put the info before the segments, and again where the language is told later. `items` are segments, and codes of languages.

    `seconds`: of the whole audio. Raises UnsupportedValue naming `model` if only the language was asked for, and is not told.
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
