"""A Live session as a state machine: events of the client, reports and the time in, effects out. No I/O, no clock.

Source: OpenAI Live API. There are no turns and no responses at the top level: one timeline, on which input audio, output audio and both
transcripts advance together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, assert_never

from open_speech.api.live.answers import AnswerPolicy
from open_speech.api.live.appends import Appends
from open_speech.api.live.config import Config, updated
from open_speech.api.live.conversation import Conversation
from open_speech.api.live.effects import (
    PRIMARY,
    AnswerAudio,
    AnswerDone,
    AnswerFailed,
    AnswerText,
    AnswerTool,
    Effect,
    Hear,
    Play,
    Reflect,
    Report,
    SendTo,
    send,
)
from open_speech.api.live.errors import AlreadyStarted, ChannelPermission, PermissionDenied, failure
from open_speech.api.live.events import (
    FIXTURE_RATE,
    AppendAudio,
    AppendCommentary,
    AppendInstructions,
    AppendText,
    AppendThinking,
    ClientEvent,
    CreateResponse,
    CreateResponseItem,
    Mute,
    PlayFixture,
    SessionClose,
    SessionStart,
    SessionUpdate,
    Unmute,
    audio_of,
    parse,
)
from open_speech.api.live.output import OutputTrack
from open_speech.api.live.state import Limits, State
from open_speech.api.live.timeline import GRID_MS, TICK_MS, Timeline
from open_speech.api.live.turns import UserTurns
from open_speech.api.realtime.client_messages import InvalidEvent, Message, client_event_id, parse_message
from open_speech.audio import from_pcm16, resample
from open_speech.errors import InvalidValue, SpeechError
from open_speech.http.ws_messages import Close

USAGE_MS = 15_000
"""Milliseconds between two reports of the usage."""


class Session:
    """One session, from its start to its end. Each method returns the effects to perform, in order; `now` is in seconds since 1970."""

    def __init__(self, config: Config, *, has_llm: bool, limits: Limits, new_id: Callable[[str], str], now: float) -> None:
        timeline = Timeline(config.format.rate, is_paced=not config.is_call)
        conversation = Conversation(config.instructions, config.input)
        track = OutputTrack(config.format.rate)
        self._state = State(new_id("live"), config, has_llm, limits, new_id, conversation, timeline, track, now)
        self._answers = AnswerPolicy(self._state)
        self._turns = UserTurns(self._state, self._answers)
        self._appends = Appends()
        self._audio: deque[bytes] = deque()
        """Input audio that waits for its time."""
        self._muted = False
        self._fixture_event_id: str | None = None
        self._usage_ms = 0
        self._heard_at = now
        """When audio arrived last."""
        self.is_closed = False

    @property
    def id(self) -> str:
        """The id of the session."""
        return self._state.id

    @property
    def config(self) -> Config:
        """The current configuration."""
        return self._state.config

    @property
    def waiting_input_s(self) -> float:
        """Seconds of input audio that wait because they arrived faster than real time."""
        return self._state.timeline.waiting / self._state.timeline.rate

    @property
    def waiting_output_s(self) -> float:
        """Seconds of speech that wait to be played."""
        return self._state.track.waiting_s

    def resource(self) -> dict[str, Any]:
        """Return the session as events show it."""
        return self.config.resource(self.id, int(self._state.started_at + self._state.limits.session_s))

    @property
    def is_output_held(self) -> bool:
        """Whether speech is held back while it is not clear if the user interrupts it."""
        return self._state.track.is_paused and not self._state.track.is_playing_fixture

    def begin(self, event_id: str | None, now: float) -> list[Effect]:
        """Start the session; `event_id` is that of its `session.start`."""
        self._heard_at = now
        return [send("session.started", session=self.resource(), client_event_id=event_id)]

    def attached(self, connection: int) -> list[Effect]:
        """Greet a connection that was attached to the session."""
        return [SendTo(connection, {"type": "session.started", "session": self.resource()})]

    def receive(self, text: str | Message, now: float, connection: int = PRIMARY) -> list[Effect]:
        """Handle one message of a connection; an invalid one is answered with an error to that connection and has no other effect."""
        if self.is_closed:
            return []
        body: Mapping[str, Any] = {}
        try:
            message = parse_message(text) if isinstance(text, str) else text
            body = message.body
            if message.error is not None:
                raise message.error
            if connection == PRIMARY and not self.config.channel.accepts(body.get("type")):
                raise ChannelPermission("The data channel of this session may not send this event.", param="type")
            event = parse(body)
            if connection != PRIMARY and isinstance(event, (AppendAudio, SessionStart)):
                raise PermissionDenied(f"An attached connection may not send `{event.type}`.", param="type")
            if self.config.is_call and isinstance(event, AppendAudio):
                raise InvalidEvent("Over WebRTC, audio is sent on the track and not in events.", param="type")
            return self._handle(event, now)
        except SpeechError as error:
            return [SendTo(connection, failure(error, client_event_id(body)))]

    def add_audio(self, data: bytes, now: float) -> None:
        """Add input audio that is not in events, in the format of the session."""
        if self.is_closed or not data:
            return
        self._heard_at = now
        self._audio.append(data)
        self._state.timeline.receive(len(data) // self.config.format.width, now)

    def report(self, report: Report) -> list[Effect]:
        """Handle a report of the driver."""
        if self.is_closed:
            return []
        if isinstance(report, (AnswerText, AnswerAudio, AnswerTool, AnswerDone, AnswerFailed)):
            return self._answers.report(report)
        return self._turns.report(report)

    def advance(self, now: float) -> list[Effect]:
        """Process the next input audio whose time has come, at most up to the end of a tick; empty if there is none."""
        timeline = self._state.timeline
        if self.is_closed or not (samples := timeline.ready(now)):
            return []
        data = self._take(samples * self.config.format.width)
        effects: list[Effect] = [Reflect(data), Hear(data, self._muted)]
        return [*effects, *self._tick()] if timeline.advance(samples) else effects

    def expire(self, now: float) -> list[Effect]:
        """End the session if its time is over, or no audio arrives."""
        if self.is_closed or now < self._expires_at:
            return []
        return self.close("expired")

    def deadline(self) -> float | None:
        """Return when `advance` or `expire` must be called; None: never."""
        if self.is_closed:
            return None
        next_at = self._state.timeline.next_at()
        return self._expires_at if next_at is None else min(next_at, self._expires_at)

    def close(self, reason: str, event_id: str | None = None) -> list[Effect]:
        """End the session."""
        if self.is_closed:
            return []
        self.is_closed = True
        effects: list[Effect] = [send(**error) for error in self._appends.unplaced()]
        closed = send("session.closed", reason=reason, session=self.resource(), usage=self._usage(), client_event_id=event_id)
        return [*effects, closed, Close()]

    @property
    def _expires_at(self) -> float:
        limits = self._state.limits
        return min(self._state.started_at + limits.session_s, self._heard_at + limits.idle_s)

    def _handle(self, event: ClientEvent, now: float) -> list[Effect]:
        match event:
            case AppendAudio():
                self.add_audio(audio_of(event, self.config.format.width), now)
                return []
            case SessionStart():
                raise AlreadyStarted("The session has started already.", param="type")
            case SessionUpdate():
                self._state.config = updated(self.config, event.session)
                return [send("session.updated", session=self.resource(), client_event_id=event.event_id)]
            case SessionClose():
                return self.close("close_requested", event.event_id)
            case Mute() | Unmute():
                self._muted = isinstance(event, Mute)
                return [send(f"{event.type}d", client_event_id=event.event_id)]
            case AppendInstructions() | AppendThinking() | AppendCommentary():
                return self._append_text(event)
            case PlayFixture():
                return self._play_fixture(event)
            case CreateResponseItem():
                self._answers.add_item(event.item)
                return []
            case CreateResponse():
                return self._answers.respond()
            case _:
                assert_never(event)

    def _append_text(self, event: AppendText) -> list[Effect]:
        if self._state.track.is_playing_fixture:
            raise InvalidEvent("A fixture is played; append when it has ended.", param="type")
        self._appends.check_room()
        effects: list[Effect] = []
        match event:
            case AppendInstructions():
                self._answers.check_delegation(event.delegation_id)
                self._state.conversation.rule(event.content)
            case AppendThinking():
                effects = self._answers.think(event.content, event.delegation_id)
            case _:
                effects = self._answers.comment(event.content, event.delegation_id)
        self._appends.add(event.type, event.event_id, self._state.timeline.ms)
        return effects

    def _play_fixture(self, event: PlayFixture) -> list[Effect]:
        track = self._state.track
        if track.is_playing_fixture:
            raise InvalidValue("A fixture is played already.", param="type")
        audio = from_pcm16(audio_of(event, 2), FIXTURE_RATE)
        track.play_fixture(resample(audio, self.config.format.rate).samples)
        self._fixture_event_id = event.event_id
        return [send("session.output_audio.fixture.playing", client_event_id=event.event_id)]

    def _take(self, count: int) -> bytes:
        """Take bytes of the audio that waits."""
        taken = bytearray()
        while len(taken) < count:
            data = self._audio.popleft()
            rest = count - len(taken)
            taken += data[:rest]
            if len(data) > rest:
                self._audio.appendleft(data[rest:])
        return bytes(taken)

    def _tick(self) -> list[Effect]:
        """Play the next 100 ms, and send what is due."""
        timeline, track = self._state.timeline, self._state.track
        now_ms, was_fixture = timeline.ms, track.is_playing_fixture
        effects: list[Effect] = [Play(track.take(timeline.tick), now_ms - TICK_MS, now_ms)]
        if now_ms % GRID_MS == 0 and (words := track.words()):
            effects.append(send("session.output_transcript.delta", delta=words, start_ms=now_ms - GRID_MS, end_ms=now_ms))
        if was_fixture and not track.is_playing_fixture:
            effects.append(send("session.output_audio.fixture.played", client_event_id=self._fixture_event_id))
        effects += [send(**event) for event in self._appends.due(now_ms)]
        if now_ms - self._usage_ms >= USAGE_MS:
            self._usage_ms = now_ms
            effects.append(send("session.usage.updated", usage=self._usage()))
        return [*effects, *self._answers.expire_early(), *self._turns.advance(), *self._answers.proceed()]

    def _usage(self) -> dict[str, float]:
        return {"seconds": round(self._state.timeline.seconds, 3)}
