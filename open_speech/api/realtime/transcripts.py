"""What is heard in items of a conversation: from the first delta to exactly one `completed` or `failed`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from open_speech.api.realtime.effects import Delta, NotTranscribed, Transcribed
from open_speech.api.realtime.events import described
from open_speech.api.realtime.items import Item
from open_speech.api.realtime.state import send
from open_speech.http.ws_messages import Send

KIND = "conversation.item.input_audio_transcription"


@dataclass(slots=True)
class _Hearing:
    """A transcription on its way."""

    shows: bool
    item: Item | None = None
    said: str = ""
    ready: list[Send] | None = None
    """What is sent of its end, once nothing before it is awaited."""


class Transcripts:
    """The transcriptions that are on their way, by item.

    Committed items are completed in their order, though a short turn may be transcribed before the long one that came first.
    """

    def __init__(self) -> None:
        self._hearings: dict[str, _Hearing] = {}

    def begin(self, item_id: str, *, shows: bool) -> None:
        """Await the text of an item that is still being said; only what `shows` is told to the client."""
        self._hearings[item_id] = _Hearing(shows)

    def expect(self, item: Item, *, shows: bool) -> None:
        """Await the transcript of an item that is complete."""
        hearing = self._hearings.pop(item.id, None) or _Hearing(shows)
        self._hearings[item.id] = hearing  # at the end: items are completed in the order in which they were committed
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
        """Take a transcript; return what is sent now: its end, and that of those which waited for it."""
        hearing = self._hearings.get(report.item_id)
        if hearing is None or hearing.item is None:
            return []
        hearing.item.heard(report.text)
        if not hearing.shows:
            return self._completed(hearing, [])
        rest = report.text[len(hearing.said) :] if report.text.startswith(hearing.said) else ""
        extra = {} if report.logprobs is None else {"logprobs": [dict(logprob) for logprob in report.logprobs]}
        if report.language:
            extra["languages"] = [{"code": report.language}]
        usage = {"type": "duration", "seconds": round(report.seconds, 3)}
        done = send(f"{KIND}.completed", item_id=report.item_id, content_index=0, transcript=report.text, usage=usage, **extra)
        return self._completed(hearing, [*([_delta(report.item_id, rest)] if rest else []), done])

    def failed(self, report: NotTranscribed) -> list[Send]:
        """Take that there will be no transcript; return what is sent now, as `done` does."""
        hearing = self._hearings.get(report.item_id)
        if hearing is None or hearing.item is None:
            return []
        hearing.item.hearing = "failed"
        told = send(f"{KIND}.failed", item_id=report.item_id, content_index=0, error=described(report.error))
        return self._completed(hearing, [told] if hearing.shows else [])

    def _completed(self, hearing: _Hearing, last: list[Send]) -> list[Send]:
        """Note how an item ends; return what can be sent: up to the first committed item that is still awaited."""
        hearing.ready = last
        sent: list[Send] = []
        for item_id, each in list(self._hearings.items()):
            if each.item is None:  # still being said: it comes after all that is committed
                continue
            if each.ready is None:
                break
            sent += each.ready
            del self._hearings[item_id]
        return sent


def _delta(item_id: str, text: str) -> Send:
    return send(f"{KIND}.delta", item_id=item_id, content_index=0, delta=text)
