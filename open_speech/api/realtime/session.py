"""A Realtime connection as a state machine: events of the client, reports and the time go in, effects come out. No I/O, no clock.

Source: OpenAI Realtime API. Inside, everything is spoken in the GA protocol; `beta` translates where events come in and leave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

from open_speech.api.realtime import beta as beta_dialect
from open_speech.api.realtime.effects import (
    Delta,
    Effect,
    NotTranscribed,
    Report,
    ResponseAudio,
    ResponseDone,
    ResponseFailed,
    ResponseText,
    ResponseTool,
    SpeechStarted,
    SpeechStopped,
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
    Message,
    RetrieveItem,
    SessionUpdate,
    TruncateItem,
    client_id,
    decoded,
    failure,
    opened,
    parse,
)
from open_speech.api.realtime.input_buffer import BufferFull, InputAudioBuffer, too_long
from open_speech.api.realtime.items import (
    DuplicateItem,
    Items,
    UnknownItemToDelete,
    UnknownItemToRetrieve,
    UnknownItemToTruncate,
    chosen_id,
    made,
)
from open_speech.api.realtime.response_policy import Answering
from open_speech.api.realtime.settings import Config, Defaults, Kind, Limits, ServerVad, fresh, shown, updated
from open_speech.api.realtime.state import State, item_events, send
from open_speech.api.realtime.transcripts import Transcripts
from open_speech.errors import InvalidRequest, InvalidValue, SpeechError
from open_speech.http.ws_messages import Close, Send

__all__ = ["Defaults", "Limits", "Session"]

NORMAL, POLICY, TOO_BIG = 1000, 1008, 1009
"""Close codes."""


class SessionExpired(InvalidRequest):
    """A session lasts only so long."""

    code = "session_expired"


class SessionIdle(InvalidRequest):
    """A client that says nothing for too long is let go."""

    code = "session_idle_timeout"


class VoiceIsFixed(InvalidRequest):
    """The voice of a session stays once it was heard."""

    code = "cannot_update_voice"


class Session:
    """One connection. Each method takes what happened and gives what is to be done, in order; `now` is in seconds since 1970."""

    def __init__(  # noqa: PLR0913 - all of it is named, and each is one thing
        self, kind: Kind, *, model: str, defaults: Defaults, limits: Limits, new_id: Callable[[str], str], now: float,
        beta: bool = False, configured: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Raise InvalidRequest's children if `configured`, a `session` in the GA protocol, cannot be."""
        config = fresh(kind, model=model, defaults=defaults, configured=configured)
        items = Items(limits.items)
        self._state = State(kind, model, defaults, limits, new_id, config, items, conversation_id=new_id("conv"))
        self._id = new_id("sess")
        self._beta = beta
        self._expires_at = now + limits.session_s
        self._active_at = now
        self._closed = False
        self._transcripts = Transcripts()
        self._listening = InputAudioBuffer(self._state, self._transcripts)
        self._answering = Answering(self._state, self._transcripts)

    @property
    def config(self) -> Config:
        """How the session is set up now."""
        return self._state.config

    def shown(self) -> dict[str, Any]:
        """Show the whole session in the GA protocol."""
        return shown(self._state.config, self._state.kind, id=self._id, model=self._state.model, expires_at=int(self._expires_at))

    def begin(self, now: float) -> list[Effect]:
        """Greet the client."""
        self._active_at = now
        effects = [*self._listening.tune(self.config), send("session.created", session=self.shown())]
        if self._beta and self._state.kind == "realtime":
            conversation = {"id": self._state.conversation_id, "object": "realtime.conversation"}
            effects.append(send("conversation.created", conversation=conversation))
        return self._out(effects)

    def receive(self, text: str | Message, now: float) -> list[Effect]:
        """Take one message of the client; what is wrong with it is answered, and nothing else comes of it.

        The driver opens a long one off the event loop.
        """
        if self._closed:
            return []
        self._active_at = now
        body: Mapping[str, Any] = {}
        try:
            if isinstance(text, str):
                if len(text) > self._state.limits.frame_bytes:
                    raise too_long(self._state.limits.frame_bytes)
                text = opened(text)
            body = text.body
            if text.error is not None:
                raise text.error
            effects = self._take(parse(beta_dialect.to_ga(body) if self._beta else body))
        except SpeechError as error:
            effects = [Send(failure(error, client_id(body)))]
        return self._out(effects)

    def report(self, report: Report, now: float) -> list[Effect]:
        """Take what the driver did."""
        if self._closed:
            return []
        match report:
            case SpeechStarted(at_ms):
                effects = self._speech_started(at_ms)
            case SpeechStopped(at_ms):
                effects = self._turn(self._listening.speech_stopped(at_ms))
            case Delta():
                effects = [*self._transcripts.delta(report)]
            case Transcribed(item_id):
                effects = [*self._transcripts.done(report), *self._answering.heard(item_id, now)]
            case NotTranscribed(item_id, error):
                effects = [*self._transcripts.failed(report), *self._answering.heard(item_id, now, error)]
            case ResponseText() | ResponseAudio() | ResponseTool() | ResponseDone() | ResponseFailed():
                self._active_at = now
                effects = self._answering.report(report, now)
            case _:
                assert_never(report)
        return self._out(effects)

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        if self._closed:
            return []
        if now >= self._expires_at:
            return self._end(SessionExpired("The session has reached its maximum duration."), NORMAL)
        silent_at, idle_at = self._silent_at, self._idle_at
        if idle_at is not None and now >= idle_at:
            return self._end(SessionIdle("The connection was idle for too long."), POLICY)
        if silent_at is not None and now >= silent_at:
            self._answering.silent_since = None
            return self._out([*self._listening.timed_out(), *self._answering.turn(asks_always=True)])
        return []

    def deadline(self) -> float | None:
        """Tell when `tick` has something to do, in seconds since 1970; None: never."""
        if self._closed:
            return None
        return min(at for at in (self._expires_at, self._silent_at, self._idle_at) if at is not None)

    @property
    def _silent_at(self) -> float | None:
        """When the client has been silent for so long after an answer that it is spoken to again."""
        vad, since = self.config.audio.input.turn_detection, self._answering.silent_since
        if not isinstance(vad, ServerVad) or vad.idle_timeout_ms is None or since is None or self._listening.is_speaking:
            return None
        return since + vad.idle_timeout_ms / 1000

    @property
    def _idle_at(self) -> float | None:
        idle_s = self._state.limits.idle_s
        return self._active_at + idle_s if idle_s > 0 and not self._answering.is_busy else None

    def _take(self, event: ClientEvent) -> list[Effect]:
        match event:
            case Append():
                return self._listening.append(decoded(event.audio, 1))
            case CommitBuffer():
                return self._listening.commit()
            case ClearBuffer():
                return self._listening.clear()
            case ClearOutput():
                return self._answering.clear_output()
            case SessionUpdate():
                return self._update(event.session)
            case CreateItem():
                return self._create_item(event)
            case RetrieveItem() | DeleteItem() | TruncateItem():
                return self._handle_item(event)
            case CreateResponse():
                return self._answering.create(event.response)
            case CancelResponse():
                return self._answering.cancel(event.response_id)
            case _:
                assert_never(event)

    def _update(self, change: Mapping[str, Any]) -> list[Effect]:
        state = self._state
        kind = change.get("type", state.kind)
        if kind not in ("realtime", "transcription"):
            raise InvalidValue("`session.type` must be realtime or transcription.", param="session.type")
        if kind != state.kind and (len(state.items) or not self._listening.is_empty or self._answering.is_busy):
            raise InvalidValue("The type of a session cannot change once it has begun.", param="session.type")
        before = base = state.config
        if kind == "transcription" and kind != state.kind:
            base = updated(base, {"audio": {"input": {"transcription": {}}}}, state.defaults)
        config = updated(base, change, state.defaults)
        if state.has_spoken and config.audio.output.voice_name != before.audio.output.voice_name:
            raise VoiceIsFixed("The voice cannot change after the session has sent audio.", param="session.audio.output.voice")
        self._listening.check_format(config.format)
        state.config, state.kind = config, kind
        retuned = (config.format, config.turns) != (before.format, before.turns)
        tune = self._listening.tune(before) if retuned else []
        return [*tune, send("session.updated", session=self.shown())]

    def _create_item(self, event: CreateItem) -> list[Effect]:
        state = self._state
        chosen = chosen_id(event.item)
        if chosen is not None and (chosen == self._listening.item_id or self._transcripts.awaits(chosen)):
            raise DuplicateItem("This id belongs to an utterance in progress.", param="item.id")
        item, sound = made(event.item, chosen or state.new_id("item"))
        hearing: list[Effect] = []
        words = state.shows_words or (state.asks_model and not item.text)
        if sound is not None:
            data = decoded(sound, self.config.format.width, "item.content")
            if len(data) > state.limits.buffer_bytes:
                raise BufferFull("The item contains more audio than the input buffer can hold.", param="item.content")
            hearing = [TranscribeItem(item.id, data, self.config.format, self.config.transcription)] if words else []
        before = state.items.add(item, event.previous_item_id)
        told = item_events(item, before)
        if hearing:
            self._transcripts.expect(item, shows=state.shows_words)
        return [*told, *hearing]

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

    def _speech_started(self, at_ms: int) -> list[Effect]:
        effects = self._listening.speech_started(at_ms)
        vad = self.config.audio.input.turn_detection
        if not effects or vad is None:
            return effects
        self._answering.silent_since = None
        return [*effects, *(self._answering.interrupt() if vad.interrupt_response else ())]

    def _turn(self, effects: list[Effect]) -> list[Effect]:
        """Answer a turn that ended, if that is for the server to do."""
        if effects:
            self._answering.silent_since = None
        vad = self.config.audio.input.turn_detection
        answers = effects and self._state.kind == "realtime" and vad is not None and vad.create_response
        return [*effects, *(self._answering.turn() if answers else ())]

    def _end(self, error: SpeechError, code: int) -> list[Effect]:
        effects = self._out([*self._answering.drop(), Send(failure(error, None)), Close(code, error.code or "")])
        self._closed = True
        return effects

    def _out(self, effects: Sequence[Effect]) -> list[Effect]:
        """Let effects leave: events get their ids, and the words of the client's protocol."""
        left: list[Effect] = []
        for effect in effects:
            if not isinstance(effect, Send):
                left.append(effect)
                continue
            events = beta_dialect.to_beta(effect.message, self._state.kind) if self._beta else [effect.message]
            left += [Send({"type": event["type"], "event_id": self._state.new_id("event"), **event}) for event in events]
        return left
