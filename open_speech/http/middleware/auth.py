"""Authentication with API keys, for HTTP and WebSockets."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from open_speech import logs
from open_speech.errors import TooManyGuesses, TooManyKeys, Unauthorized, WrongKey
from open_speech.http.caller import KEY_NAME, NO_PROXIES, Proxies, address_of, is_unauthenticated, turn_away
from open_speech.security import egress
from open_speech.security.api_keys import KeyRing, digest_of
from open_speech.security.lockout import Guesses, is_foreign_page, sender_of
from open_speech.security.network import network_of

OPEN_PATHS = frozenset(
    {"/", "/health", "/healthz", "/healthcheck", "/livez", "/readyz", "/docs", "/openapi.json", "/web", "/scalar"}
    | {"/docs/scalar", "/docs/scalar/api-reference.js"}
    | {f"/health/{part}" for part in ("llm", "stt", "tts", "ready", "live")}
)
"""Paths for probes and for the documentation that need no key."""
OPEN_FOLDER = "/web/"
"""The files of the web page, which asks the user for the key and shows no data of the server without one."""
PUBLIC_LISTS = frozenset({"/v1/models", "/v1/audio/models", "/v1/audio/voices", "/api/voice-presets", "/bazarr/models"})
"""Lists that some clients read before they have a key; readable without a key if OS_PUBLIC_LISTS is set."""
MODEL_PREFIX = "/v1/models/"
"""A single model of that list; clients such as wyoming-openai get a model before they use it."""
MOST_KEYS = 4
"""Maximum number of different keys in one request: one in each of the four ways to send a key. OS_API_KEY_HEADER is a fifth."""
KEY_HEADERS = ("x-api-key", "api-key")
"""Headers that always contain a key; the first is the default of OS_API_KEY_HEADER."""
BROWSER_PROTOCOL = "openai-insecure-api-key."
"""Prefix of the WebSocket subprotocol that contains the key of a browser, which cannot set headers of a WebSocket."""


def presented_keys(headers: Headers, key_header: str = KEY_HEADERS[0]) -> list[str]:
    """Return the different keys of a request: bearer or basic authorization, `X-API-Key`, Azure's `api-key`, or a browser's subprotocol.

    `key_header` is the name of one more header with a key, in any case. A key in the URL is not accepted, because proxies log URLs.
    Starlette reads header bytes as Latin-1; the keys returned are the text that was sent.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    keys = [token.strip()] if scheme.lower() == "bearer" else []
    keys += [_password(token.strip())] if scheme.lower() == "basic" else []
    own = () if key_header.lower() == "authorization" else (key_header.lower(),)
    keys += [headers[name] for name in dict.fromkeys((*KEY_HEADERS, *own)) if name in headers]
    protocols = (name.strip() for name in headers.get("sec-websocket-protocol", "").split(","))
    keys += [name.removeprefix(BROWSER_PROTOCOL) for name in protocols if name.startswith(BROWSER_PROTOCOL)]
    return [key.encode("latin-1").decode(errors="surrogateescape") for key in dict.fromkeys(keys) if key]


def is_open(method: str, path: str, *, lists: bool) -> bool:
    """Return whether a path needs no key; with `lists`, the lists of models and voices need none either."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDER) or (lists and is_list(method, path))


def is_list(method: str, path: str) -> bool:
    """Return whether a request reads one of the lists of models and voices, or a single model."""
    return method in ("GET", "HEAD") and (path in PUBLIC_LISTS or (path.startswith(MODEL_PREFIX) and path != MODEL_PREFIX))


class ApiKey:
    """ASGI middleware that accepts a request with a valid key and records the name of its holder.

    Keys are compared as digests, in the same time for valid and wrong ones. After many different wrong keys, new keys of that sender are
    not checked for a while.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each thing that a setting decides
        self,
        app: ASGIApp,
        *,
        keys: KeyRing,
        opens: Callable[[str, str], bool] | None = None,
        public_lists: bool = False,
        proxies: Proxies = NO_PROXIES,
        guesses: Guesses | None = None,
        open_paths: Collection[str] = (),
        origins: Collection[str] = (),
        local_only: Collection[str] = (),
        key_header: str = KEY_HEADERS[0],
        signed_in: Proxies = NO_PROXIES,
    ) -> None:
        """`opens` returns whether another key is valid for a path. `proxies` are the reverse proxies in front of the server.

        `open_paths` need no key either. Wrong keys from pages of `origins` are counted together with those from the server's own page. Data
        of requests with a key named in `local_only` is not sent to other servers. `key_header` may contain the key, too. Requests without a
        key that connect from `signed_in`, proxies that authenticate their users, pass with an empty name.
        """
        self._signed_in = signed_in
        self._key_header = key_header
        self._most_keys = MOST_KEYS + (key_header.lower() not in (*KEY_HEADERS, "authorization"))
        self._origins = frozenset(origins)
        self._local_only = frozenset(local_only)
        self._open_paths = frozenset(open_paths)
        self._app = app
        self._keys = keys
        self._opens = opens
        self._public_lists = public_lists
        self._proxies = proxies
        self._guesses = guesses or Guesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or return 401 (429 for a sender that guesses keys) before its body is read."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        sent = presented_keys(headers, self._key_header)
        sender = sender_of(network_of(address_of(scope, self._proxies)), headers, self._origins)
        if len(sent) > self._most_keys:
            # No key is checked, so this counts as one guess. It must count, because each such request has to be parsed.
            self._guesses.wrong(sender, [digest_of(" ".join(sent))])
            scope[KEY_NAME] = None
            many = TooManyKeys(f"The request carries {len(sent)} different API keys; at most {self._most_keys} are accepted.")
            await turn_away(many, scope, receive, send)
            return
        wait_s = self._guesses.wait_s(sender) if sent else 0.0
        scope[KEY_NAME] = self._holder(scope["path"], sent, sender, is_locked=wait_s > 0)
        if not sent and self._is_signed_in(scope, headers):
            scope[KEY_NAME] = ""
        if sent and not wait_s and is_unauthenticated(scope):
            # Also on open paths: their responses differ for a valid key, which would confirm a guess.
            self._guesses.wrong(sender, map(digest_of, sent))
        logs.note_key(scope[KEY_NAME])
        if not is_unauthenticated(scope) or self._is_open(scope, sent):
            with egress.keeping(local_only=scope[KEY_NAME] in self._local_only):
                await self._app(scope, receive, send)
        elif wait_s:
            locked = TooManyGuesses("Too many different wrong API keys were sent from your address.", retry_after_s=wait_s)
            await turn_away(locked, scope, receive, send)
        else:
            error = WrongKey("The API key is wrong.") if sent else Unauthorized("No API key was sent; send `Authorization: Bearer …`.")
            # Basic is accepted but not offered, because a browser would then ask its user for a name and a password.
            await turn_away(error, scope, receive, send, headers={"WWW-Authenticate": "Bearer"})

    def _is_open(self, scope: Scope, sent: Collection[str]) -> bool:
        """Return whether the path needs no key. With a wrong key, lists are not open: clients use them to test their key."""
        path = scope["path"]
        return path in self._open_paths or is_open(scope.get("method", ""), path, lists=self._public_lists and not sent)

    def _is_signed_in(self, scope: Scope, headers: Headers) -> bool:
        """Return whether a proxy that authenticates its users has sent the request, and a page of this server has caused it.

        The address is that of the connection: `X-Forwarded-For` is the client's claim. The browser identifies its user to the proxy by a
        cookie, which it may also send for pages of other origins.
        """
        if not self._signed_in or not self._signed_in.include(str((scope.get("client") or ("",))[0])):
            return False
        return not is_foreign_page(headers, self._origins)

    def _holder(self, path: str, keys: list[str], sender: str, *, is_locked: bool) -> str | None:
        """Return the name of the holder of the first valid key; empty for a key that is valid for this path only.

        For a locked sender, only keys that it has used successfully before are checked.
        """
        if is_locked:
            known = self._guesses.let_through(sender, [digest_of(key) for key in keys])
            keys = [key for key in keys if digest_of(key) in known]
        key = self._keys.find(keys)
        if key is not None:
            self._guesses.right(sender, key.digest)
            return key.name
        for other in keys:
            if self._opens is not None and self._opens(path, other):
                self._guesses.right(sender, digest_of(other))
                return ""
        return None


def _password(token: str) -> str:
    """Return the key from basic authorization: the password, or the user name if the password is empty."""
    try:
        name, _, password = base64.b64decode(token, validate=True).decode("latin-1").partition(":")
    except (binascii.Error, ValueError):
        return ""
    return password or name
