"""A session of the Realtime API for programs without an event loop: the same session, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from open_speech.client.background import Background
from open_speech.client.endpoint import Endpoint
from open_speech.client.realtime import CLOSE_S, AsyncRealtimeSession, RealtimeOptions

F = TypeVar("F", bound=Callable[..., object])


class RealtimeSession:
    """One session, from its creation to `close`. Callbacks are called in its thread, one at a time, in the order of the events.

    A callback may call the methods of the session: what it sends is then sent without waiting for it.
    """

    def __init__(self, endpoint: Endpoint, options: RealtimeOptions) -> None:
        """Connect and configure the session. Raises ConnectionFailed, or APIError for invalid options."""
        self._background = Background()
        try:
            self._session = self._background.run(AsyncRealtimeSession.open(endpoint, **options))
        except BaseException:
            self._background.close()
            raise
        self._closed = False

    def on_transcript(self, callback: F) -> F:
        """Call a function with each completed transcript: an event with `item_id` and `transcript`."""
        return self._session.on_transcript(callback)

    def on_vad(self, callback: F) -> F:
        """Call a function when the server detects the start or the end of speech."""
        return self._session.on_vad(callback)

    def on_audio(self, callback: F) -> F:
        """Call a function with the next bytes of speech: 16-bit mono PCM in the sample rate of the session."""
        return self._session.on_audio(callback)

    def on_error(self, callback: F) -> F:
        """Call a function with each error: APIError, or ConnectionFailed when the connection is lost."""
        return self._session.on_error(callback)

    def on_event(self, callback: F) -> F:
        """Call a function with every event of the server."""
        return self._session.on_event(callback)

    def send_audio(self, pcm: bytes) -> None:
        """Append 16-bit mono PCM in the sample rate of the session. Raises ConnectionFailed."""
        self._run(self._session.send_audio, pcm)

    def commit(self) -> None:
        """End the turn: the audio so far is transcribed. Raises ConnectionFailed."""
        self._run(self._session.commit)

    def create_response(self, text: str | None = None, *, voice: str | None = None, instructions: str | None = None) -> None:
        """Speak a text word for word, or without one let the language model of the server answer. Raises ConnectionFailed."""
        self._run(self._session.create_response, text, voice=voice, instructions=instructions)

    def cancel_response(self) -> None:
        """Stop the response in progress: no more audio of it is received. Raises ConnectionFailed."""
        self._run(self._session.cancel_response)

    def send(self, event: Mapping[str, Any]) -> None:
        """Send any event of the Realtime API. Raises ConnectionFailed."""
        self._run(self._session.send, event)

    def close(self, wait_s: float = CLOSE_S) -> None:
        """Close the session; first wait up to `wait_s` seconds for the transcripts and responses that were requested. 0: close at once."""
        if self._closed:
            return
        self._closed = True
        if self._background.is_current:
            wait_s = 0.0  # what is pending arrives on this very thread
        self._run(self._session.close, wait_s)
        if not self._background.is_current:
            self._background.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(CLOSE_S if kind is None else 0.0)

    def _run(self, method: Callable[..., Any], *args: object, **named: object) -> None:
        if self._background.is_current:
            self._background.start(method(*args, **named))
        else:
            self._background.run(method(*args, **named))
