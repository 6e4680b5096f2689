"""What is heard in items of a conversation: from the first delta to exactly one `completed` or `failed`. Pure."""

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
    """A transcription on its way."""

    is_shown: bool
    item: Item | None = None
    text: str = ""
    ready: list[Send] | None = None
    """What is sent of its end, once nothing before it is awaited."""


class Transcripts:
    """The transcriptions that are on their way, by item.

    Committed items are completed in their order, though a short turn may be transcribed before the long one that came first.
    """

    def __init__(self) -> None:
        self._transcriptions: dict[str, _Transcription] = {}

    def begin(self, item_id: str, *, is_shown: bool) -> None:
        """Await the text of an item that is still being said; only what `shows` is told to the client."""
        self._transcriptions[item_id] = _Transcription(is_shown)

    def expect(self, item: Item, *, is_shown: bool) -> None:
        """Await the transcript of an item that is complete."""
        transcription = self._transcriptions.pop(item.id, None) or _Transcription(is_shown)
        self._transcriptions[item.id] = transcription  # at the end: items are completed in the order in which they were committed
        transcription.item = item
        item.transcription_status = "pending"

    def forget(self, item_id: str) -> None:
        """Await no more of an item that was never committed."""
        self._transcriptions.pop(item_id, None)

    def awaits(self, item_id: str) -> bool:
        """Whether there is something to come of an item."""
        return item_id in self._transcriptions

    def delta(self, report: Delta) -> list[Send]:
        """Take more of a text."""
        transcription = self._transcriptions.get(report.item_id)
        if transcription is None or not report.text:
            return []
        transcription.text += report.text
        return [_delta(report.item_id, report.text)] if transcription.is_shown else []

    def done(self, report: Transcribed) -> list[Send]:
        """Take a transcript; return what is sent now: its end, and that of those which waited for it."""
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
        done = send(f"{KIND}.completed", item_id=report.item_id, content_index=0, transcript=report.text, usage=usage, **extra)
        return self._completed(transcription, [*([_delta(report.item_id, rest)] if rest else []), done])

    def failed(self, report: NotTranscribed) -> list[Send]:
        """Take that there will be no transcript; return what is sent now, as `done` does."""
        transcription = self._transcriptions.get(report.item_id)
        if transcription is None or transcription.item is None:
            return []
        transcription.item.transcription_status = "failed"
        event = send(f"{KIND}.failed", item_id=report.item_id, content_index=0, error=error_body(report.error))
        return self._completed(transcription, [event] if transcription.is_shown else [])

    def _completed(self, transcription: _Transcription, last: list[Send]) -> list[Send]:
        """Note how an item ends; return what can be sent: up to the first committed item that is still awaited."""
        transcription.ready = last
        sent: list[Send] = []
        for item_id, each in list(self._transcriptions.items()):
            if each.item is None:  # still being said: it comes after all that is committed
                continue
            if each.ready is None:
                break
            sent += each.ready
            del self._transcriptions[item_id]
        return sent


def _delta(item_id: str, text: str) -> Send:
    return send(f"{KIND}.delta", item_id=item_id, content_index=0, delta=text)
