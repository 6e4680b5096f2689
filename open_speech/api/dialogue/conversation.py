"""One connection of `/v1/conversation/ws`: messages of the client -> turns, one after the other."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from open_speech.api.dialogue.answer_file import AnswerFile
from open_speech.api.dialogue.bodies import outcome
from open_speech.api.dialogue.conversation_messages import (
    Audio,
    Cancel,
    Clear,
    ClientMessage,
    Config,
    EndTurn,
    ServerMessages,
    Text,
    parse,
)
from open_speech.api.dialogue.turn_parameters import TurnParameters, checked_audio, recognition_of
from open_speech.api.dialogue.turn_sinks import Sent
from open_speech.api.dialogue.utterance import Utterance
from open_speech.api.gemmavoice.channel import INLINE_CHARS, Channel
from open_speech.config import Settings
from open_speech.dialogue.language_models import LanguageModels
from open_speech.dialogue.turn import Recording, Turns
from open_speech.engine import Engine
from open_speech.errors import BackendFailed, InvalidRequest, SpeechError

log = logging.getLogger("open_speech.dialogue")

WHOLE_AFTER_S = 0.3
"""Seconds after a whole WAV file without a further message after which it counts as an utterance, unless the client says otherwise."""
QUIET_AFTER_S = 1.5
"""The same for other audio, whose end cannot be recognized."""
KIND = "conversation"


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the server that a conversation uses."""

    engine: Engine
    settings: Settings
    turns: Turns
    models: LanguageModels


class Conversation:
    """A connection, from its first message to its last."""

    def __init__(self, channel: Channel, services: Services, *, owner: str, max_bytes: int) -> None:
        """`owner` is the owner of the session; `max_bytes` is the maximum size of the audio of one turn."""
        self._channel = channel
        self._services = services
        self._owner = owner
        self._utterance = Utterance(max_bytes)
        self._session_id = f"ws-{uuid4().hex}"
        self._config = Config()
        self._turn: asyncio.Task[None] | None = None
        self._timer: asyncio.Task[None] | None = None
        self._order = asyncio.Lock()
        channel.is_busy = lambda: self._turn is not None and not self._turn.done()

    async def process(self) -> None:
        """Handle messages until the client is idle for too long."""
        await self._configure(Config())
        async with aclosing(self._channel.parts()) as parts:
            async for part in parts:
                try:
                    if isinstance(part.data, str) or part.is_last:
                        await self._handle(await self._parsed(part.data))
                    else:  # a long message arrives in parts
                        self._stop_timer()
                        self._utterance.add(part.data)
                except SpeechError as error:
                    self._channel.fail(error)

    async def _parsed(self, data: str | bytes) -> ClientMessage:
        """Parse a message; audio in base64 is decoded off the event loop."""
        if isinstance(data, bytes):
            return Audio(data=data)
        body = await self._channel.parsed(data)
        return parse(body) if len(data) <= INLINE_CHARS else await asyncio.to_thread(parse, body)

    async def _handle(self, message: ClientMessage) -> None:
        self._stop_timer()
        match message:
            case Config():
                await self._configure(message)
            case Audio():
                await self._append(message)
            case Text():
                await self._begin(message.content)
            case EndTurn():
                await self._end_turn()
            case Clear():
                self._utterance.clear()
            case Cancel():
                await self._cancel()

    async def _configure(self, config: Config) -> None:
        """Apply a config from the next turn on. Without a session of its own, the conversation has one until it is forgotten."""
        parameters = await TurnParameters.of(config, self._services.engine)
        if config.session_id is None:
            config = config.model_copy(update={"session_id": self._session_id})
        self._config = config
        self._channel.send(
            {
                "type": "ready",
                "session_id": config.session_id,
                "response_format": parameters.synthesis.format,
                "sample_rate": parameters.sample_rate,
            }
        )

    async def _append(self, audio: Audio) -> None:
        self._utterance.add(audio.data)
        mode = self._config.turn_mode
        if audio.end_turn or mode == "utterance":
            await self._end_turn()
            return
        self._channel.send({"type": "buffering", "bytes": self._utterance.bytes})
        if mode == "auto":
            self._timer = self._channel.tasks.begin(self._end_later(WHOLE_AFTER_S if self._utterance.is_whole else QUIET_AFTER_S))

    async def _end_later(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        self._timer = None
        try:
            await self._end_turn()
        except SpeechError as error:
            self._channel.fail(error)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _end_turn(self) -> None:
        if not self._utterance.bytes:
            raise InvalidRequest("The turn has no audio.", param="data")
        await self._begin(self._utterance.take())

    async def _begin(self, said: bytes | str) -> None:
        """Begin a turn, after the turn in progress."""
        async with self._order:
            if self._turn is not None:
                await asyncio.wait({self._turn})
            self._channel.send({"type": "processing"})
            self._turn = self._channel.tasks.begin(self._perform(said, self._config))

    async def _cancel(self) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.cancel()
            await asyncio.wait({self._turn})
            self._channel.outbox.drop_sound()
        self._channel.send({"type": "cancelled"})

    async def _perform(self, said: bytes | str, config: Config) -> None:
        try:
            await self._answer(said, config)
        except SpeechError as error:
            self._channel.fail(error)
        except Exception:  # noqa: BLE001 - the boundary of this connection: nothing but a message may reach the client
            log.exception("a turn of a conversation failed")
            self._channel.fail(BackendFailed("The turn could not be completed."))

    async def _answer(self, said: bytes | str, config: Config) -> None:
        parameters = await TurnParameters.of(config, self._services.engine)
        llm = await self._services.models.open(config.model)
        try:
            user: Recording | str = said if isinstance(said, str) else await self._recording(said, config)
            turn = parameters.turn(user, llm, self._services.engine, self._services.settings, owner=self._owner, kind=KIND)
            file = AnswerFile(parameters.synthesis.format, parameters.synthesis.sample_rate)
            sink = Sent(ServerMessages(), file, put=self._channel.send, room=self._channel.outbox.room)
            result = await self._services.turns.perform(turn, llm, sink)
            await sink.finish()
        finally:
            await llm.aclose()
        ended: dict[str, Any] = outcome(result, session_id=config.session_id, model=llm.name).model_dump()
        self._channel.send({"type": "done", **ended})

    async def _recording(self, said: bytes, config: Config) -> Recording:
        raw_rate = config.input_sample_rate if config.input_format == "pcm" else None
        return Recording(
            checked_audio(said), await recognition_of(config, self._services.engine, self._services.settings, raw_rate=raw_rate)
        )
