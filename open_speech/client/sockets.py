"""Connecting a WebSocket: the errors of a handshake and of a lost connection, as errors of this client."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from open_speech.client.bodies import Event
from open_speech.client.endpoint import Endpoint
from open_speech.client.errors import ConnectionFailed, TimedOut, from_response

POLICY = 1008
"""The code with which the server closes a connection whose request is invalid, or that was idle for too long."""


async def connected(endpoint: Endpoint, path: str, query: Mapping[str, Any]) -> ClientConnection:
    """Open a WebSocket. Raises ConnectionFailed, or APIError if the server rejects the handshake."""
    url, options = endpoint.socket(path, query)
    with translated():
        return await connect(url, **options)


def message(data: str | bytes) -> Event:
    """Parse a message of the server. Raises ConnectionFailed if it is not a JSON object."""
    try:
        parsed = json.loads(data)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise ConnectionFailed("The server sent a message that is not a JSON object.")
    return parsed


@contextmanager
def translated() -> Iterator[None]:
    """Convert the errors of `websockets` in the block. Raises ConnectionFailed, TimedOut or APIError."""
    try:
        yield
    except InvalidStatus as error:
        response = error.response
        headers = {name.lower(): value for name, value in response.headers.raw_items()}
        raise from_response(response.status_code, headers, bytes(response.body or b"")) from error
    except TimeoutError as error:
        raise TimedOut("The server did not accept the connection in time.") from error
    except ConnectionClosed as error:
        raise ConnectionFailed(f"The connection was closed: {error}") from error
    except (OSError, InvalidHandshake, WebSocketException) as error:
        raise ConnectionFailed(f"The connection to the server failed: {error or type(error).__name__}") from error
