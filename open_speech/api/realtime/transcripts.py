"""The transcripts of items in a conversation: from the first delta to exactly one `completed` or `failed`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from open_speech.api.realtime.effects import Delta, NotTranscribed, Transcribed
from open_speech.api.realtime.events import error_body
from open_speech.api.realtime.items import Item
from open_speech.api.realtime.state import send
from open_speech.http.ws_messages import Send

KIND = "conversation.item.input_audio_transcription"


@dataclass(slots=True)
class _Transcription:
    """A pending transcription."""

    is_shown: bool
    item: Item | None = None
    text: str = ""
    ready: list[Send] | None = None
    """The events of its end; they are sent when no earlier item is pending."""


class Transcripts:
    """The pending transcriptions, by item.

    Committed items are completed in order, although a short turn may be transcribed before a long one that was committed earlier.
    """

    def __init__(self) -> None:
        self._transcriptions: dict[str, _Transcription] = {}

    def begin(self, item_id: str, *, is_shown: bool) -> None:
        """Add the transcription of an item that is still being spoken; it is sent to the client only with `is_shown`."""
        self._transcriptions[item_id] = _Transcription(is_shown)

    def expect(self, item: Item, *, is_shown: bool) -> None:
        """Add the transcription of an item whose audio is complete."""
        transcription = self._transcriptions.pop(item.id, None) or _Transcription(is_shown)
        self._transcriptions[item.id] = transcription  # at the end: items are completed in the order in which they were committed
        transcription.item = item
        item.transcription_status = "pending"

    def forget(self, item_id: str) -> None:
        """Remove the transcription of an item that was never committed."""
        self._transcriptions.pop(item_id, None)

    def hide(self, item_id: str) -> None:
        """Send nothing more about the transcription of an item."""
        if (transcription := self._transcriptions.get(item_id)) is not None:
            transcription.is_shown = False

    def awaits(self, item_id: str) -> bool:
        """Return whether the transcription of an item is pending."""
        return item_id in self._transcriptions

    def delta(self, report: Delta) -> list[Send]:
        """Add the next part of a transcript; return the event to send now."""
        transcription = self._transcriptions.get(report.item_id)
        if transcription is None or not report.text:
            return []
        transcription.text += report.text
        return [_delta(report.item_id, report.text)] if transcription.is_shown else []

    def done(self, report: Transcribed) -> list[Send]:
        """Complete a transcription; return the events to send now: those of its end, and of later items that waited for it."""
        transcription = self._transcriptions.get(report.item_id)
        if transcription is None or transcription.item is None:
            return []
        transcription.item.set_transcript(report.text)
        if not transcription.is_shown:
            return self._completed(transcription, [])
        rest = report.text[len(transcription.text) :] if report.text.startswith(transcription.text) else ""
        extra = {} if report.logprobs is None else {"logprobs": [dict(logprob) for logprob in report.logprobs]}
        if report.language:
            extra["languages"] = [{"code": report.language}]
        usage = {"type": "duration", "seconds": round(report.seconds, 3)}
        segments = [
            send(
                f"{KIND}.segment", item_id=report.item_id, content_index=0, id=f"seg_{report.item_id.removeprefix('item_')}_{number}",
                text=one.text, speaker=one.speaker, start=round(one.start, 3), end=round(one.end, 3),
            )
            for number, one in enumerate(report.segments)
        ]  # fmt: skip
        done = send(f"{KIND}.completed", item_id=report.item_id, content_index=0, transcript=report.text, usage=usage, **extra)
        return self._completed(transcription, [*([_delta(report.item_id, rest)] if rest else []), *segments, done])

    def failed(self, report: NotTranscribed) -> list[Send]:
        """End a transcription with an error; return the events to send now, as `done` does."""
        transcription = self._transcriptions.get(report.item_id)
        if transcription is None or transcription.item is None:
            return []
        transcription.item.transcription_status = "failed"
        event = send(f"{KIND}.failed", item_id=report.item_id, content_index=0, error=error_body(report.error))
        return self._completed(transcription, [event] if transcription.is_shown else [])

    def _completed(self, transcription: _Transcription, last: list[Send]) -> list[Send]:
        """Store the events of an item's end; return those that can be sent: up to the first committed item that is pending."""
        transcription.ready = last
        sent: list[Send] = []
        for item_id, each in list(self._transcriptions.items()):
            if each.item is None:  # still being spoken: it is after all committed items
                continue
            if each.ready is None:
                break
            sent += each.ready
            del self._transcriptions[item_id]
        return sent


def _delta(item_id: str, text: str) -> Send:
    return send(f"{KIND}.delta", item_id=item_id, content_index=0, delta=text)
