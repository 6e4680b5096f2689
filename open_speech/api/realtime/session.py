"""A Realtime connection as a state machine: events of the client, reports and the time in, effects out. No I/O, no clock.

Source: OpenAI Realtime API. Internally all events are in the GA protocol; `beta` translates incoming and outgoing events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

from open_speech.api.realtime import beta as beta_dialect
from open_speech.api.realtime.client_messages import Message, client_event_id, decoded, parse_message
from open_speech.api.realtime.effects import (
    Delta,
    Effect,
    NotTranscribed,
    Played,
    Report,
    ResponseAudio,
    ResponseDone,
    ResponseFailed,
    ResponseText,
    ResponseTool,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    TextReady,
    Transcribed,
    TranscribeItem,
)
from open_speech.api.realtime.events import (
    Append,
    CancelResponse,
    ClearBuffer,
    ClearOutput,
    ClientEvent,
    CommitBuffer,
    CreateItem,
    CreateResponse,
    DeleteItem,
    RetrieveItem,
    SessionUpdate,
    TruncateItem,
    failure,
    parse,
)
from open_speech.api.realtime.input_buffer import BufferFull, InputAudioBuffer, too_long
from open_speech.api.realtime.items import (
    DuplicateItem,
    Items,
    UnknownItemToDelete,
    UnknownItemToRetrieve,
    UnknownItemToTruncate,
    build_item,
    chosen_id,
)
from open_speech.api.realtime.response_policy import ResponsePolicy
from open_speech.api.realtime.settings import Config, Defaults, Kind, Limits, ServerVad, initial_config, session_body, updated
from open_speech.api.realtime.state import State, TurnTaking, item_events, send
from open_speech.api.realtime.transcripts import Transcripts
from open_speech.api.realtime.user_turns import UserTurns
from open_speech.errors import InvalidRequest, InvalidValue, SpeechError
from open_speech.http.ws_messages import Close, Send

__all__ = ["Defaults", "Limits", "Session"]

NORMAL, POLICY, TOO_BIG = 1000, 1008, 1009
"""Close codes."""


class SessionExpired(InvalidRequest):
    """The session has reached its maximum duration."""

    code = "session_expired"


class SessionIdle(InvalidRequest):
    """The session was idle for too long."""

    code = "session_idle_timeout"


class VoiceIsFixed(InvalidRequest):
    """The voice cannot change after the session has sent audio."""

    code = "cannot_update_voice"


class Session:
    """One connection. Each method handles one event and returns the effects to perform, in order; `now` is in seconds since 1970."""

    def __init__(  # noqa: PLR0913 - all of it is named, and each is one thing
        self, kind: Kind, *, model: str, defaults: Defaults, limits: Limits, new_id: Callable[[str], str], now: float,
        beta: bool = False, configured: Mapping[str, Any] | None = None, is_kind_open: bool = False,
        turn_taking: TurnTaking | None = None,
    ) -> None:  # fmt: skip
        """Raises subclasses of InvalidRequest if `configured`, a `session` in the GA protocol, is invalid."""
        config = initial_config(kind, model=model, defaults=defaults, configured=configured)
        items = Items(limits.items)
        self._state = State(kind, model, defaults, limits, new_id, config, items, new_id("conv"), is_kind_open)
        self._state.turn_taking = turn_taking or TurnTaking()
        self._id = new_id("sess")
        self._beta = beta
        self._expires_at = now + limits.session_s
        self._active_at = now
        self._closed = False
        self._transcripts = Transcripts()
        self._input_buffer = InputAudioBuffer(self._state, self._transcripts)
        self._responses = ResponsePolicy(self._state, self._transcripts)
        self._turns = UserTurns(self._state, self._input_buffer, self._transcripts, self._responses)

    @property
    def config(self) -> Config:
        """The current configuration of the session."""
        return self._state.config

    def body(self) -> dict[str, Any]:
        """Return the whole session in the GA protocol."""
        return session_body(self._state.config, self._state.kind, id=self._id, model=self._state.model, expires_at=int(self._expires_at))

    def begin(self, now: float) -> list[Effect]:
        """Start the session; return its first effects."""
        self._active_at = now
        effects = [*self._input_buffer.configure(self.config), send("session.created", session=self.body())]
        if self._beta and self._state.kind == "realtime":
            conversation = {"id": self._state.conversation_id, "object": "realtime.conversation"}
            effects.append(send("conversation.created", conversation=conversation))
        return self._outgoing(effects)

    def receive(self, text: str | Message, now: float) -> list[Effect]:
        """Handle one message of the client; an invalid one is answered with an error and has no other effect.

        `text` is the message itself, or the result of `parse_message`, which the driver calls off the event loop for a long message.
        """
        if self._closed:
            return []
        self._active_at = now
        body: Mapping[str, Any] = {}
        event: ClientEvent | None = None
        try:
            if isinstance(text, str):
                if len(text) > self._state.limits.frame_bytes:
                    raise too_long(self._state.limits.frame_bytes)
                text = parse_message(text)
            body = text.body
            self._beta = self._beta or (not self._state.defaults.has_llm and beta_dialect.has_only_beta_fields(body))
            if text.error is not None:
                raise text.error
            event = parse(beta_dialect.to_ga(body) if self._beta else body)
            effects = self._handle(event)
            effects = [*self._turns.settle_changed(is_cleared=isinstance(event, ClearBuffer)), *effects]
        except SpeechError as error:
            effects = [Send(failure(error, client_event_id(body)))]
        return self._outgoing([*effects, *self._turns.check_early(is_cancelled=isinstance(event, CancelResponse))])

    def report(self, report: Report, now: float) -> list[Effect]:
        """Handle a report of the driver."""
        if self._closed:
            return []
        match report:
            case (
                SpeechStarted()
                | SpeechStopped()
                | SpeechPaused()
                | SpeechResumed()
                | TextReady()
                | Delta()
                | Transcribed()
                | NotTranscribed()
            ):
                effects = self._turns.report(report, now)
            case Played():
                self._responses.played(report)
                effects = []
            case ResponseText() | ResponseAudio() | ResponseTool() | ResponseDone() | ResponseFailed():
                self._active_at = now
                effects = self._responses.report(report, now)
            case _:
                assert_never(report)
        return self._outgoing(effects)

    def tick(self, now: float) -> list[Effect]:
        """Perform actions whose time has come."""
        if self._closed:
            return []
        if now >= self._expires_at:
            return self._end(SessionExpired("The session has reached its maximum duration."), NORMAL)
        timeout_at, idle_at = self._timeout_at, self._idle_at
        if idle_at is not None and now >= idle_at:
            return self._end(SessionIdle("The connection was idle for too long."), POLICY)
        effects = [*self._responses.tick(now), *self._turns.tick(now)]
        if timeout_at is not None and now >= timeout_at:
            self._responses.silent_since = None
            effects += [*self._input_buffer.timed_out(), *self._responses.turn(always=True)]
        return self._outgoing(effects)

    def deadline(self) -> float | None:
        """Return when `tick` must be called, in seconds since 1970; None: never."""
        if self._closed:
            return None
        times = (self._expires_at, self._timeout_at, self._idle_at, self._responses.deadline, self._turns.deadline)
        return min(at for at in times if at is not None)

    @property
    def _timeout_at(self) -> float | None:
        """The time of the idle timeout: the user has been silent for `idle_timeout_ms` after a response. None: no timeout."""
        vad, since = self.config.audio.input.turn_detection, self._responses.silent_since
        if not isinstance(vad, ServerVad) or vad.idle_timeout_ms is None or since is None or self._input_buffer.is_speaking:
            return None
        return since + vad.idle_timeout_ms / 1000

    @property
    def _idle_at(self) -> float | None:
        idle_s = self._state.limits.idle_s
        return self._active_at + idle_s if idle_s > 0 and not self._responses.is_busy else None

    def _handle(self, event: ClientEvent) -> list[Effect]:
        match event:
            case Append():
                return self._input_buffer.append(decoded(event.audio, 1))
            case CommitBuffer():
                return self._input_buffer.commit()
            case ClearBuffer():
                return self._input_buffer.clear()
            case ClearOutput():
                return self._responses.clear_output()
            case SessionUpdate():
                return self._update(event.session)
            case CreateItem():
                return self._create_item(event)
            case RetrieveItem() | DeleteItem() | TruncateItem():
                return self._handle_item(event)
            case CreateResponse():
                return self._responses.create(event.response)
            case CancelResponse():
                return self._responses.cancel(event.response_id)
            case _:
                assert_never(event)

    def _update(self, change: Mapping[str, Any]) -> list[Effect]:
        state = self._state
        kind = change.get("type", state.kind)
        if kind not in ("realtime", "transcription"):
            raise InvalidValue("`session.type` must be realtime or transcription.", param="session.type")
        if kind != state.kind and (len(state.items) or not self._input_buffer.is_empty or self._responses.is_busy):
            raise InvalidValue("The type of a session cannot change once it has begun.", param="session.type")
        before = base = state.config
        if kind == "transcription" and kind != state.kind:
            base = updated(base, {"audio": {"input": {"transcription": {}}}}, state.defaults)
        config = updated(base, change, state.defaults)
        if state.has_sent_audio and config.audio.output.voice_name != before.audio.output.voice_name:
            raise VoiceIsFixed("The voice cannot change after the session has sent audio.", param="session.audio.output.voice")
        self._input_buffer.check_format(config.format)
        state.config, state.kind = config, kind
        state.is_kind_open = state.is_kind_open and "type" not in change
        retuned = (config.format, config.turns) != (before.format, before.turns)
        configured_input = self._input_buffer.configure(before) if retuned else []
        return [*configured_input, send("session.updated", session=self.body())]

    def _create_item(self, event: CreateItem) -> list[Effect]:
        state = self._state
        chosen = chosen_id(event.item)
        if chosen is not None and (chosen == self._input_buffer.item_id or self._transcripts.awaits(chosen)):
            raise DuplicateItem("This id belongs to an utterance in progress.", param="item.id")
        item, audio = build_item(event.item, chosen or state.new_id("item"))
        transcribing: list[Effect] = []
        is_transcribed = state.shows_transcripts or (state.uses_llm and not item.text)
        if audio is not None:
            data = decoded(audio, self.config.format.width, "item.content")
            if len(data) > state.limits.buffer_bytes:
                raise BufferFull("The item contains more audio than the input buffer can hold.", param="item.content")
            transcribing = [TranscribeItem(item.id, data, self.config.format, self.config.transcription)] if is_transcribed else []
        before = state.items.add(item, event.previous_item_id)
        events = item_events(item, before)
        if transcribing:
            self._transcripts.expect(item, is_shown=state.shows_transcripts)
        return [*events, *transcribing]

    def _handle_item(self, event: RetrieveItem | DeleteItem | TruncateItem) -> list[Effect]:
        items = self._state.items
        item = items.get(event.item_id)
        match event:
            case RetrieveItem():
                if item is None:
                    raise UnknownItemToRetrieve("The conversation has no item with this id.", param="item_id")
                return [send("conversation.item.retrieved", item=item.body())]
            case DeleteItem():
                if items.remove(event.item_id) is None:
                    raise UnknownItemToDelete("The conversation has no item with this id.", param="item_id")
                return [send("conversation.item.deleted", item_id=event.item_id)]
            case TruncateItem():
                if item is None:
                    raise UnknownItemToTruncate("The conversation has no item with this id.", param="item_id")
                item.truncate(event.content_index, event.audio_end_ms)
                return [send("conversation.item.truncated", **event.model_dump())]
            case _:
                assert_never(event)

    def _end(self, error: SpeechError, code: int) -> list[Effect]:
        effects = self._outgoing([*self._responses.drop(), Send(failure(error, None)), Close(code, error.code or "")])
        self._closed = True
        return effects

    def _outgoing(self, effects: Sequence[Effect]) -> list[Effect]:
        """Add ids to events, and translate them to the client's version of the protocol."""
        outgoing: list[Effect] = []
        for effect in effects:
            if not isinstance(effect, Send):
                outgoing.append(effect)
                continue
            events = beta_dialect.to_beta(effect.message, self._state.kind) if self._beta else [effect.message]
            outgoing += [Send({"type": event["type"], "event_id": self._state.new_id("event"), **event}) for event in events]
        return outgoing
