"""The handshake of the WebSockets of these APIs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.websockets import WebSocket

from open_speech.concurrency.slots import Slots
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.errors import SpeechError
from open_speech.http.caller import holder_of
from open_speech.http.inbox import accept
from open_speech.http.websockets import chosen_subprotocol, engine_for, turn_away


async def opened(
    socket: WebSocket, serve: Callable[[Engine, Settings], Awaitable[None]], failure: Callable[[SpeechError], Mapping[str, Any]]
) -> None:
    """Accept a connection and serve it, if it is allowed and a slot is free; `failure` builds the message for an error.

    The handshake is accepted first: a rejected one gives the client no reason, and a handler that fails before it hangs under BentoML.
    """
    await accept(socket, chosen_subprotocol(socket.headers))
    settings: Settings = socket.app.state.settings
    slots: Slots = socket.app.state.slots
    try:
        engine = engine_for(socket)
        with slots.taken(holder_of(socket.scope)):
            await serve(engine, settings)
    except SpeechError as error:
        await turn_away(socket, error, failure(error))
