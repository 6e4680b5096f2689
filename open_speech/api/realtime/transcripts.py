"""What is heard in items of a conversation: from the first delta to exactly one `completed` or `failed`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from open_speech.outgoing import Send
from open_speech.realtime.effects import (
    Delta,
    NotTranscribed,
    Transcribed,
)
from open_speech.realtime.events import described
from open_speech.realtime.items import Item
from open_speech.realtime.state import send

KIND = "conversation.item.input_audio_transcription"


@dataclass(slots=True)
class _Hearing:
    """A transcription on its way."""

    shows: bool
    item: Item | None = None
    said: str = ""


class Transcripts:
    """The transcriptions that are on their way, by item."""

    def __init__(self) -> None:
        self._hearings: dict[str, _Hearing] = {}

    def begin(self, item_id: str, *, shows: bool) -> None:
        """Await the text of an item that is still being said; only what `shows` is told to the client."""
        self._hearings[item_id] = _Hearing(shows)

    def expect(self, item: Item, *, shows: bool) -> None:
        """Await the transcript of an item that is complete."""
        hearing = self._hearings.setdefault(item.id, _Hearing(shows))
        hearing.item = item
        item.hearing = "pending"

    def forget(self, item_id: str) -> None:
        """Await no more of an item that was never committed."""
        self._hearings.pop(item_id, None)

    def awaits(self, item_id: str) -> bool:
        """Whether there is something to come of an item."""
        return item_id in self._hearings

    def delta(self, report: Delta) -> list[Send]:
        """Take more of a text."""
        hearing = self._hearings.get(report.item_id)
        if hearing is None or not report.text:
            return []
        hearing.said += report.text
        return [_delta(report.item_id, report.text)] if hearing.shows else []

    def done(self, report: Transcribed) -> list[Send]:
        """Take a transcript."""
        hearing = self._pop(report.item_id)
        if hearing is None or hearing.item is None:
            return []
        hearing.item.heard(report.text)
        if not hearing.shows:
            return []
        rest = report.text[len(hearing.said) :] if report.text.startswith(hearing.said) else ""
        extra = {} if report.logprobs is None else {"logprobs": [dict(logprob) for logprob in report.logprobs]}
        if report.language:
            extra["languages"] = [{"code": report.language}]
        usage = {"type": "duration", "seconds": round(report.seconds, 3)}
        done = send(f"{KIND}.completed", item_id=report.item_id, content_index=0, transcript=report.text, usage=usage, **extra)
        return [*([_delta(report.item_id, rest)] if rest else []), done]

    def failed(self, report: NotTranscribed) -> list[Send]:
        """Take that there will be no transcript."""
        hearing = self._pop(report.item_id)
        if hearing is None or hearing.item is None:
            return []
        hearing.item.hearing = "failed"
        return [send(f"{KIND}.failed", item_id=report.item_id, content_index=0, error=described(report.error))] if hearing.shows else []

    def _pop(self, item_id: str) -> _Hearing | None:
        """Take an item off the list; one that is still being said cannot be complete."""
        hearing = self._hearings.get(item_id)
        return self._hearings.pop(item_id) if hearing is not None and hearing.item is not None else None


def _delta(item_id: str, text: str) -> Send:
    return send(f"{KIND}.delta", item_id=item_id, content_index=0, delta=text)
