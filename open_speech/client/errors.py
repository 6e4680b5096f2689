"""The errors of the client. Those that the server returned have its status, type, code, parameter and request id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class OpenSpeechError(Exception):
    """Base class of every error that this client raises itself."""


class ConnectionFailed(OpenSpeechError):
    """The server cannot be reached, or the connection ended before the response did."""


class TimedOut(ConnectionFailed):
    """The server did not respond within the timeout."""


class ServerTooOld(OpenSpeechError):
    """The server does not support what was requested; a newer version of it does."""


class PlayerFailed(OpenSpeechError):
    """The player's command cannot be started, or ended before the speech did."""


class APIError(OpenSpeechError):
    """An error that the server returned, in a response, an event or a message of a WebSocket."""

    def __init__(  # noqa: PLR0913 - the fields of one error
        self,
        message: str,
        *,
        status: int | None = None,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """`status` is None for an error within a stream. `retry_after_s` is in seconds; None if the server named no time."""
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.request_id = request_id
        self.retry_after_s = retry_after_s

    @property
    def is_invalid_request(self) -> bool:
        """Whether the same request fails again: it is invalid, or not allowed."""
        return self.type == "invalid_request_error" if self.status is None else 400 <= self.status < 500 and self.status not in (408, 429)


class InvalidRequest(APIError):
    """The request is invalid (400, 413, 422 and others between 400 and 499)."""


class Unauthorized(APIError):
    """The API key is missing or wrong (401)."""


class Forbidden(APIError):
    """The server does not allow the request (403)."""


class NotFound(APIError):
    """No model, voice or job with this name exists (404)."""


class Conflict(APIError):
    """The state of the job or model does not allow the request (409)."""


class TooManyRequests(APIError):
    """The server is overloaded, or a limit is exceeded (429); `retry_after_s` says when to try again."""


class ServerFailed(APIError):
    """The server could not process a valid request (500 to 599)."""


_CLASSES = {401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict, 429: TooManyRequests}


def from_response(status: int, headers: Mapping[str, str], body: bytes) -> APIError:
    """Return the error of an HTTP response; `headers` has lower-case names, or ignores case. A body in another form is the message."""
    detail = _detail(body)
    cls = _CLASSES.get(status, ServerFailed if status >= 500 else InvalidRequest)
    return cls(
        str(detail.get("message") or body[:500].decode(errors="replace") or f"The server returned the status {status}."),
        status=status,
        request_id=headers.get("x-request-id"),
        retry_after_s=_seconds(headers.get("retry-after")),
        **_fields(detail),
    )


def from_event(event: Mapping[str, Any]) -> APIError:
    """Return the error in an event or a message: `{"error": {message, type, param, code}}`."""
    detail = event.get("error")
    detail = detail if isinstance(detail, Mapping) else {}
    cls = InvalidRequest if detail.get("type") == "invalid_request_error" else ServerFailed
    return cls(str(detail.get("message") or "The server reported an error without a message."), **_fields(detail))


def _detail(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    detail = parsed.get("error") if isinstance(parsed, dict) else None
    return detail if isinstance(detail, dict) else {}


def _fields(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if detail.get(name) is None else str(detail[name]) for name in ("type", "code", "param")}


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:  # a date, which this server does not send
        return None
