"""The API keys: who may pass, for HTTP and WebSocket alike."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from open_speech import logs
from open_speech.callers import KEY_NAME, address_of, is_stranger, turn_away
from open_speech.errors import TooManyGuesses, Unauthorized
from open_speech.guesses import Guesses
from open_speech.hosts import network_of
from open_speech.keys import KeyRing, digest_of

OPEN_PATHS = frozenset({"/", "/health", "/healthz", "/healthcheck", "/livez", "/readyz", "/docs", "/openapi.json", "/web"})
"""What a probe or a reader of the documentation may see without a key."""
OPEN_FOLDER = "/web/"
"""The files of the web page: it asks for the key itself, and shows nothing of the server without one."""
PUBLIC_LISTS = frozenset({"/v1/models", "/v1/audio/models", "/v1/audio/voices", "/api/voice-presets", "/bazarr/models"})
"""Lists that some clients read before they have a key; open where OS_PUBLIC_LISTS says so, for reading alone."""
BROWSER_PROTOCOL = "openai-insecure-api-key."
"""Prefix of the WebSocket subprotocol in which a browser, which cannot set headers there, hands over the key."""


def presented_keys(headers: Headers) -> list[str]:
    """List the keys a request carries: bearer or basic authorization, `X-API-Key`, Azure's `api-key`, or a browser's subprotocol.

    Never one in the URL, which every proxy writes into its log.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    keys = [token.strip()] if scheme.lower() == "bearer" else []
    keys += [_password(token.strip())] if scheme.lower() == "basic" else []
    keys += [headers[name] for name in ("x-api-key", "api-key") if name in headers]
    protocols = (name.strip() for name in headers.get("sec-websocket-protocol", "").split(","))
    keys += [name.removeprefix(BROWSER_PROTOCOL) for name in protocols if name.startswith(BROWSER_PROTOCOL)]
    return [key for key in keys if key]


def is_open(method: str, path: str, *, lists: bool) -> bool:
    """Tell whether a path needs no key; with `lists` those that only list what is served need none either."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDER) or (lists and is_list(method, path))


def is_list(method: str, path: str) -> bool:
    """Tell whether a request reads one of the lists of what is served."""
    return method in ("GET", "HEAD") and path in PUBLIC_LISTS


class ApiKey:
    """ASGI middleware that lets a request pass if one of the keys it carries is one of ours, and notes whose it is.

    A right key is compared as one of digests, in the same time as a wrong one. Who tries many different keys is not looked at for a while.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each thing that a setting decides
        self,
        app: ASGIApp,
        *,
        keys: KeyRing,
        opens: Callable[[str, str], bool] | None = None,
        public_lists: bool = False,
        proxies: int = 0,
        guesses: Guesses | None = None,
        open_paths: Collection[str] = (),
    ) -> None:
        """`opens` tells whether a path may also be taken with another key. `proxies` of ours stand before the server.

        `open_paths` need no key either.
        """
        self._open_paths = frozenset(open_paths)
        self._app = app
        self._keys = keys
        self._opens = opens
        self._public_lists = public_lists
        self._proxies = proxies
        self._guesses = guesses or Guesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 (429 to who guesses) before any of its body is read."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        # Starlette reads header bytes as Latin-1; this gives back the text that was sent.
        sent = [key.encode("latin-1").decode(errors="surrogateescape") for key in presented_keys(Headers(scope=scope))]
        address = network_of(address_of(scope, self._proxies))
        wait_s = self._guesses.wait_s(address) if sent else 0.0
        scope[KEY_NAME] = None if wait_s else self._whose(scope["path"], sent)
        if sent and not wait_s and is_stranger(scope):
            # On open paths, too: what they tell to a stranger and what to others would give a right guess away.
            self._guesses.wrong(address, map(digest_of, sent))
        logs.note_key(scope[KEY_NAME])
        if not is_stranger(scope) or self._is_open(scope):
            await self._app(scope, receive, send)
        elif wait_s:
            error = TooManyGuesses("Too many different wrong API keys came from your address.", retry_after_s=wait_s)
            await turn_away(error, scope, receive, send)
        else:
            problem = "The API key is wrong." if sent else "No API key was sent; send `Authorization: Bearer …`."
            # Basic is taken and not asked for: a browser would then ask its user for a name and a password.
            await turn_away(Unauthorized(problem), scope, receive, send, headers={"WWW-Authenticate": "Bearer"})

    def _is_open(self, scope: Scope) -> bool:
        return scope["path"] in self._open_paths or is_open(scope.get("method", ""), scope["path"], lists=self._public_lists)

    def _whose(self, path: str, keys: list[str]) -> str | None:
        """Name the holder of the first right key; nobody in particular, the empty name, holds one that opens this path alone."""
        key = self._keys.find(keys)
        if key is not None:
            return key.name
        return "" if self._opens is not None and any(self._opens(path, other) for other in keys) else None


def _password(token: str) -> str:
    """Read basic authorization: the password is the key, or the name where a client knows only one of the two."""
    try:
        name, _, password = base64.b64decode(token, validate=True).decode("latin-1").partition(":")
    except (binascii.Error, ValueError):
        return ""
    return password or name
