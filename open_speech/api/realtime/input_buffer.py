"""The input audio buffer of a Realtime session: turns or commits create items from its audio. Pure.

The driver holds the audio itself; this module tracks its length and which part is committed. Times are milliseconds of audio.
"""

from __future__ import annotations

from open_speech.api.realtime.effects import (
    SILENCE_KEPT_MS,
    AppendAudio,
    AudioFormat,
    Begin,
    Clear,
    Commit,
    ConfigureInput,
    Effect,
    Transcribed,
    TranscriptionSettings,
)
from open_speech.api.realtime.items import Item
from open_speech.api.realtime.settings import Config
from open_speech.api.realtime.state import State, item_events, send
from open_speech.api.realtime.transcripts import Transcripts
from open_speech.errors import InvalidRequest, InvalidValue

LEAST_MS = 100
"""Minimum milliseconds of audio that can be committed."""


class BufferEmpty(InvalidRequest):
    """The buffer contains too little audio to commit."""

    code = "input_audio_buffer_commit_empty"


class BufferFull(InvalidRequest):
    """The audio exceeds the capacity of the buffer."""

    code = "input_audio_buffer_full"


def too_long(limit: int) -> BufferFull:
    """Return the error for a message of more than `limit` characters."""
    return BufferFull(f"A message is at most {limit} bytes long.", param="audio")


class InputAudioBuffer:
    """The length of the received audio, and the part of it that is not committed."""

    def __init__(self, state: State, transcripts: Transcripts) -> None:
        self._state = state
        self._transcripts = transcripts
        self._past_ms = 0.0
        """Milliseconds of audio that arrived in earlier formats."""
        self._bytes = 0
        self._split_sample = b""
        """The first byte of a sample whose second byte is in the next append: clients split audio anywhere."""
        self._from_ms = 0
        self._item_id: str | None = None
        """The id of the next item."""
        self._begun: TranscriptionSettings | None = None
        self.is_speaking = False

    @property
    def item_id(self) -> str | None:
        """The id of the next item, if it has one yet."""
        return self._item_id

    @property
    def now_ms(self) -> int:
        """Milliseconds of audio received so far."""
        return int(self._past_ms + self._bytes * 1000 / _bytes_per_s(self._state.config.format))

    @property
    def is_empty(self) -> bool:
        """Whether all audio is committed."""
        return self.now_ms <= self._from_ms

    def configure(self, before: Config) -> list[Effect]:
        """Apply the session's new configuration to the audio from here on; `before` applied to the audio so far."""
        self._past_ms += self._bytes * 1000 / _bytes_per_s(before.format)
        self._bytes = 0
        if before.format != self._state.config.format:
            self._split_sample = b""
        if before.turns is not None and self._item_id is None:
            self._from_ms = max(self._from_ms, self.now_ms - SILENCE_KEPT_MS)
        if self._state.config.turns is None:
            # Speech in progress continues, but the client now decides when it ends.
            self.is_speaking = False
        return [ConfigureInput(self._state.config.format, self._state.config.turns)]

    def append(self, data: bytes) -> list[Effect]:
        """Append audio that may end in half a sample. Raises BufferFull, and then none of it is appended."""
        data = self._split_sample + data
        whole = len(data) - len(data) % self._state.config.format.width
        effects = self._append(data[:whole])
        self._split_sample = data[whole:]
        return effects

    def _append(self, data: bytes) -> list[Effect]:
        if not data:
            return []
        detects_turns = self._state.config.turns is not None
        held_ms = 0 if detects_turns and not self.is_speaking else self.now_ms - self._from_ms
        if len(data) + held_ms * _bytes_per_s(self._state.config.format) // 1000 > self._state.limits.buffer_bytes:
            if not (detects_turns and self.is_speaking) or len(data) > self._state.limits.buffer_bytes:
                raise BufferFull("The input buffer is full: commit or clear it.", param="audio")
            # The turn fills the buffer: it is cut here, and the next one begins.
            return [*self._stopped(self.now_ms), Clear(), *self._append(data)]
        began = [] if detects_turns or self._item_id is not None else self._begin(self._state.new_id("item"), self._from_ms)
        self._bytes += len(data)
        return [*began, AppendAudio(data)]

    def speech_started(self, at_ms: int) -> list[Effect]:
        """Handle the start of speech."""
        if self.is_speaking or self._state.config.turns is None:
            return []
        self.is_speaking = True
        start_ms = max(self._from_ms, at_ms)
        if self._item_id is None:
            self._from_ms = start_ms
        item_id = self._item_id or self._state.new_id("item")
        event = send("input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=item_id)
        return [event, *self._begin(item_id, self._from_ms)]

    def speech_stopped(self, at_ms: int) -> list[Effect]:
        """Handle the end of speech: the turn becomes an item."""
        return self._stopped(max(at_ms, self._from_ms)) if self.is_speaking else []

    def commit(self) -> list[Effect]:
        """Create an item from all audio in the buffer. Raises BufferEmpty."""
        detects_turns = self._state.config.turns is not None
        if detects_turns and not self.is_speaking:
            self._from_ms = max(self._from_ms, self.now_ms - SILENCE_KEPT_MS)
        if self.now_ms - self._from_ms < LEAST_MS:
            raise BufferEmpty(f"The input buffer holds less than {LEAST_MS} ms of audio.")
        # Speech that continues after the commit is a separate turn.
        return [*self._commit(self.now_ms), *([Clear()] if detects_turns else [])]

    def timed_out(self) -> list[Effect]:
        """Create an item from the silence before an idle timeout."""
        self._from_ms = max(self._from_ms, self.now_ms - SILENCE_KEPT_MS)
        item_id = self._item_id = self._item_id or self._state.new_id("item")
        span = {"audio_start_ms": self._from_ms, "audio_end_ms": self.now_ms}
        event = send("input_audio_buffer.timeout_triggered", **span, item_id=item_id)
        committed = self._commit(self.now_ms, is_transcribed=False)
        # It contains no speech: its transcript is empty.
        item = self._state.items.get(item_id)
        if item is None or not self._state.shows_transcripts:
            return [event, *committed]
        self._transcripts.expect(item, is_shown=True)
        return [event, *committed, *self._transcripts.done(Transcribed(item_id, "", 0.0))]

    def clear(self) -> list[Effect]:
        """Drop the audio that is not committed."""
        if self._item_id is not None:
            self._transcripts.forget(self._item_id)
        self._split_sample = b""
        self._reset(self.now_ms)
        return [Clear(), send("input_audio_buffer.cleared")]

    def check_format(self, new: AudioFormat) -> None:
        """Raise InvalidValue if the format would change while the buffer holds audio that is not committed."""
        if new != self._state.config.format and not self.is_empty:
            raise InvalidValue(
                "The format cannot change while the input buffer holds audio: commit or clear it.", param="session.audio.input.format"
            )

    def _begin(self, item_id: str, start_ms: int) -> list[Effect]:
        self._item_id = item_id
        if not self._state.needs_transcripts or self._begun is not None:
            return []
        self._begun = self._state.config.transcription
        self._transcripts.begin(item_id, is_shown=self._state.shows_transcripts)
        return [Begin(item_id, start_ms, self._begun)]

    def _stopped(self, at_ms: int) -> list[Effect]:
        assert self._item_id is not None
        event = send("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=self._item_id)
        return [event, *self._commit(at_ms)]

    def _commit(self, end_ms: int, *, is_transcribed: bool = True) -> list[Effect]:
        state = self._state
        item = Item(self._item_id or state.new_id("item"), content=[{"type": "input_audio", "transcript": None}])
        before = state.items.add(item)
        transcription = (self._begun or (state.config.transcription if state.needs_transcripts else None)) if is_transcribed else None
        start_ms = self._from_ms
        if transcription is not None:
            self._transcripts.expect(item, is_shown=state.shows_transcripts)
        event = send("input_audio_buffer.committed", item_id=item.id, previous_item_id=before)
        self._reset(end_ms)
        return [event, *item_events(item, before), Commit(item.id, start_ms, end_ms, transcription)]

    def _reset(self, from_ms: int) -> None:
        self._from_ms = from_ms
        self._item_id = self._begun = None
        self.is_speaking = False


def _bytes_per_s(format: AudioFormat) -> int:
    return format.rate * format.width
