"""An HTTP client of one other speech server: its key, deadlines, and the conversion of its errors to ours."""

from __future__ import annotations

import json
import logging
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from open_speech.errors import (
    BackendFailed,
    BackendTimeout,
    BackendUnavailable,
    InvalidAudio,
    InvalidRequest,
    InvalidValue,
    OutOfRange,
    Overloaded,
    SpeechError,
    TextTooLong,
    UnknownModel,
    UnknownVoice,
    UnsupportedLanguage,
)
from runners.support.retry import Busy, Patience

log = logging.getLogger("open_speech.upstream")

T = TypeVar("T")
CONNECT_S = 5.0
PROBE_S = 10.0
"""Maximum seconds for one discovery request."""
ERROR_BYTES = 65_536
LONGEST_ANSWER = 64 << 20
"""Maximum bytes of a response that is read as a whole."""
ANSWER_CHARS = 300
"""Maximum characters of the server's error message in our own message and in the log."""
_CLASSES: Mapping[str, type[InvalidRequest]] = {
    "voice": UnknownVoice, "model": UnknownModel, "language": UnsupportedLanguage, "file": InvalidAudio, "speed": OutOfRange,
}  # fmt: skip
_NEVER = ("insufficient_quota", "billing_hard_limit_reached", "quota_exceeded")
"""Error codes for which a retry cannot succeed, because an account has reached its limit."""
_OUT_OF_CREDIT = 402


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful response while it arrives."""

    kind: str
    """Media type, lower case, with its parameters."""
    chunks: Iterator[bytes]
    """Raises BackendTimeout at the deadline."""

    def whole(self) -> bytes:
        """Read the whole body. Raises BackendFailed for more than LONGEST_ANSWER bytes."""
        data = bytearray()
        for chunk in self.chunks:
            data += chunk
            if len(data) > LONGEST_ANSWER:
                raise BackendFailed("The response of the upstream server is too long.")
        return bytes(data)

    def json(self) -> Any:
        """Parse the whole body as JSON. Raises BackendFailed if it is not JSON."""
        try:
            return json.loads(self.whole())
        except ValueError:
            raise BackendFailed("The upstream server returned an invalid response (not JSON).") from None


@dataclass(frozen=True, slots=True)
class Address:
    """The URL of a server and its API key."""

    url: str
    """Base URL, including `/v1` if the server has it."""
    key: str = field(default="", repr=False)
    settings: str = "UPSTREAM"
    """Prefix of the names of the server's settings, for error messages."""
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    """Headers of each request, which contain the key; None sends it as a bearer token, as OpenAI's servers expect."""


class Upstream:
    """A client of one server; safe to use from several threads."""

    def __init__(self, address: Address, patience: Patience) -> None:
        """Open a client. Sends no request yet."""
        self._address = address
        self._patience = patience
        headers = address.headers
        if headers is None:
            headers = {"Authorization": f"Bearer {address.key}"} if address.key else {}
        # As many connections as there are calling threads; redirects are not followed, because they would send the key to another server.
        self._client = httpx.Client(headers=headers, limits=httpx.Limits(max_connections=64, keepalive_expiry=30))
        weakref.finalize(self, self._client.close)  # a model is unloaded by dropping all references to it

    @property
    def base(self) -> str:
        """The base URL without a trailing slash."""
        return self._address.url.rstrip("/")

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def post(self, path: str, read: Callable[[Answer], Iterator[T]], **content: Any) -> Iterator[T]:
        """Send `json`, `content`, or `data` and `files`, and yield the items that `read` parses from the response.

        `params` and `headers` are added to the request. Temporary failures are retried.
        Raises subclasses of InvalidRequest for a rejected request, Overloaded, BackendUnavailable, BackendTimeout or BackendFailed.
        """
        return self._patience.ask(lambda deadline: self._ask("POST", self.base + path, read, deadline, **content))

    def get(self, url: str) -> tuple[int, Any]:
        """Send one discovery request without retries: return the status and the body (parsed JSON, or text), None after a failure status.

        Raises Busy (not reachable), BackendTimeout or BackendFailed (invalid response).
        """
        deadline = time.monotonic() + min(PROBE_S, self._patience.timeout_s)
        return next(self._ask("GET", url, _found, deadline, refused=_refused))

    def _ask(  # noqa: PLR0913 - the one place where a request is made
        self,
        method: str,
        url: str,
        read: Callable[[Answer], Iterator[T]],
        deadline: float,
        refused: Callable[[httpx.Response], Iterator[T]] | None = None,
        **content: Any,
    ) -> Iterator[T]:
        try:
            left = max(deadline - time.monotonic(), 0.1)
            timeout = httpx.Timeout(left, connect=min(CONNECT_S, left))
            with self._client.stream(method, url, timeout=timeout, **content) as answer:
                if not answer.is_success:
                    if refused is None:
                        raise self._refusal(answer)
                    yield from refused(answer)
                    return
                yield from read(Answer(answer.headers.get("content-type", "").lower(), _chunks(answer, deadline)))
        except httpx.ConnectTimeout as late:
            raise Busy(BackendUnavailable("The upstream server does not respond.", retry_after_s=5)) from late
        except httpx.TimeoutException as late:
            raise BackendTimeout("The upstream server did not respond in time.") from late
        except httpx.TransportError as gone:
            raise Busy(BackendUnavailable("The upstream server cannot be reached: check its URL.", retry_after_s=5)) from gone
        except (httpx.DecodingError, httpx.InvalidURL) as broken:
            raise BackendFailed("The upstream server returned an invalid response.") from broken

    def _refusal(self, answer: httpx.Response) -> Exception:
        body = b""
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > ERROR_BYTES:
                break
        told = told_of(body, self._address.key)
        log.warning("the upstream server returned %d: %s", answer.status_code, told.message)
        return refusal(answer.status_code, told, answer.headers.get("retry-after", ""), self._address.settings)


@dataclass(frozen=True, slots=True)
class Told:
    """The content of a server's error response."""

    message: str
    param: str | None = None
    code: str | None = None


def told_of(body: bytes, key: str) -> Told:
    """Parse an error's body: that of OpenAI, Deepgram, ElevenLabs or Cartesia, FastAPI's `detail`, or any text.

    The result does not contain the key.
    """
    text = body.decode(errors="replace")
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    match data:
        case {"error": {"message": message, **rest}}:
            param, code = rest.get("param"), rest.get("code")
        case {"detail": {"message": message, "status": code}} | {"err_msg": message, "err_code": code}:  # ElevenLabs, Deepgram
            param = None
        case {"message": message, "error_code": code} | {"message": message, "category": code}:  # Cartesia, Deepgram
            param = None
        case {"error": message} | {"detail": str(message)} | {"message": message}:
            param = code = None
        case {"detail": [{"msg": message, "loc": [*_, str(param)]}, *_]}:
            code = None
        case _:
            message, param, code = text, None, None
    message = " ".join(str(message).split())
    if key:
        message = message.replace(key, "…")
    return Told(message[:ANSWER_CHARS], param if isinstance(param, str) else None, code if isinstance(code, str) else None)


def refusal(status: int, told: Told, retry_after: str, settings: str) -> Exception:
    """Return the exception for an error response: Busy for a temporary failure, or else a subclass of SpeechError."""
    if status == 429 and told.code not in _NEVER:
        wait_s = float(retry_after) if retry_after.isascii() and retry_after.isdecimal() else 0.0
        return Busy(Overloaded("The upstream server is overloaded.", retry_after_s=wait_s or 1), wait_s)
    if status in (502, 503, 504):
        return Busy(BackendUnavailable("The upstream server is unavailable at the moment.", retry_after_s=5))
    if status >= 500 or status == 408:
        return Busy(BackendFailed("The upstream server failed on this request."))
    if told.code in _NEVER or status == _OUT_OF_CREDIT:
        return BackendFailed(f"The account at the upstream server has reached its limit: {told.message}")
    if status in (401, 403):
        return BackendFailed(f"The upstream server rejected {settings}_API_KEY.")
    if status in (400, 404, 413, 415, 422):
        return _client_error(status, told, settings)
    return BackendFailed(f"The server at {settings}_URL does not have the expected API: it returned {status}.")


def _client_error(status: int, told: Told, settings: str) -> SpeechError:
    """Return the error for a rejected request, with the invalid field if the server reports it."""
    param = told.param
    if told.code in ("model_not_found", "model_not_loaded"):
        param = "model"
    elif told.code == "voice_not_found" or (param is None and "voice" in told.message.lower()):
        param = "voice"
    message = f"The upstream server rejected the request: {told.message or status}"
    if param is None and status == 404:
        return BackendFailed(f"The upstream server has no such endpoint: check {settings}_URL, which ends in `/v1` for OpenAI's API.")
    if param == "input" and told.code == "string_above_max_length":
        return TextTooLong(message, param=param)
    if param is not None and param in _CLASSES:
        return _CLASSES[param](message, param=param)
    return InvalidValue(message, param=param)


def _found(answer: Answer) -> Iterator[tuple[int, Any]]:
    data = answer.whole()
    try:
        yield 200, json.loads(data)
    except ValueError:
        yield 200, data[:ERROR_BYTES].decode(errors="replace")


def _refused(answer: httpx.Response) -> Iterator[tuple[int, Any]]:
    yield answer.status_code, None


def _chunks(answer: httpx.Response, deadline: float) -> Iterator[bytes]:
    for chunk in answer.iter_bytes():
        yield chunk
        if time.monotonic() > deadline:
            raise BackendTimeout("The upstream server did not finish in time.")
