"""SpeechError, validation and routing errors -> `{"error": {message, type, param, code}}`. This is the only place that maps them.

An API whose clients read another format has its own `ErrorFormat` (middleware/error_formats.py).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from open_speech import logs
from open_speech.errors import InvalidRequest, InvalidValue, MethodNotAllowed, MissingField, OutOfRange, SpeechError, UnknownPath

log = logging.getLogger("open_speech.http")
M = TypeVar("M", bound=BaseModel)

ErrorFormat = Callable[[SpeechError], tuple[int, Mapping[str, Any]]]
"""An error -> the status and the JSON body of its response."""
FORMAT = "open_speech.error_format"
"""Key of the ASGI scope for the ErrorFormat of the request's path; absent for the format of `envelope`."""
_RANGE_ERRORS = {"greater_than_equal", "less_than_equal", "greater_than", "less_than", "finite_number"}
_WHOLE_BODY = "The request body must be a JSON object, sent with `Content-Type: application/json`."


def envelope(error: SpeechError) -> dict[str, Any]:
    """Return an error in the format that OpenAI clients read; all four keys are always present."""
    param = None if error.param is None else encodable(error.param)
    return {"error": {"message": encodable(error.message), "type": error.type, "param": param, "code": error.code}}


def encodable(text: str) -> str:
    """Replace what JSON can contain but UTF-8 cannot encode: half a surrogate pair, as when a client cuts an emoji in two."""
    return text.encode("utf-8", "replace").decode()


class ErrorResponse(JSONResponse):
    """The response to a failed request, in the format of the API that its path belongs to."""

    def __init__(self, error: SpeechError, headers: Mapping[str, str]) -> None:
        super().__init__(envelope(error), error.status, headers)
        self._error = error
        self._extra = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        error_format: ErrorFormat | None = scope.get(FORMAT)
        if error_format is None:
            await super().__call__(scope, receive, send)
        else:
            status, body = error_format(self._error)
            await JSONResponse(body, status, self._extra)(scope, receive, send)


def error_response(error: SpeechError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return a response with the status of the error, and count the error. `Retry-After` is in whole seconds, at least 1."""
    logs.note_error(error.code or error.type)
    extra = dict(headers or {})
    if error.retry_after_s is not None:
        extra["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    return ErrorResponse(error, extra)


def from_validation(problems: Sequence[Mapping[str, Any]]) -> SpeechError:
    """Convert pydantic's errors to the error for the first invalid field."""
    if problems[0]["type"] == "json_invalid":
        return InvalidRequest("The request body is not valid JSON.")
    paths = [[part for part in problem["loc"] if part not in ("body", "query", "path")] for problem in problems]
    if not paths[0]:
        return InvalidRequest(_WHOLE_BODY)
    # Below the field itself, pydantic names the branches of a union, which are irrelevant to a client. The branch with the deepest error
    # is the one that the client intended.
    param = str(paths[0][0])
    depth, problem = max(
        ((len(path), problem) for path, problem in zip(paths, problems, strict=True) if path[:1] == paths[0][:1]), key=lambda p: p[0]
    )
    if problem["type"] == "missing" and depth == 1:
        return MissingField(f"The required parameter `{param}` is missing.", param=param)
    fault = f"`{problem['loc'][-1]}` is missing" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
    message = f"The value of `{param}` is not valid: {fault}."
    if problem["type"] in _RANGE_ERRORS:
        return OutOfRange(message, param=param)
    return InvalidValue(message, param=param)


def validated(model: type[M], data: Mapping[str, Any]) -> M:
    """Validate the fields of a request. Raises subclasses of InvalidRequest naming the field."""
    try:
        return model.model_validate(data)
    except ValidationError as invalid:
        raise from_validation(invalid.errors(include_url=False, include_input=False)) from None


async def _speech_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SpeechError)
    if error.status >= 500:
        log.error("%s: %s", type(error).__name__, error.message, exc_info=error.__cause__)
    return error_response(error)


async def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return error_response(from_validation(error.errors()))


async def _framework_error(request: Request, error: Exception) -> JSONResponse:
    """Convert errors that Starlette raises itself, such as for a broken multipart body."""
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            return error_response(unknown_path(request))
        case 405:
            return error_response(method_not_allowed(request), error.headers)
        case status if status < 500:
            return error_response(InvalidRequest(str(error.detail)))
    return error_response(SpeechError("The server could not process the request."))


def unknown_path(request: Request) -> SpeechError:
    """Return the error for a URL that does not exist. Uses the path of the scope: `request.url` fails without a valid `Host` header."""
    return UnknownPath(f"Invalid URL ({request.method} {request.scope['path']})")


def method_not_allowed(request: Request) -> SpeechError:
    """Return the error for a method that the URL does not accept."""
    return MethodNotAllowed(f"{request.scope['path']} does not accept the method {request.method}.")


def install(app: FastAPI) -> None:
    """Add the error handlers to the app. Unexpected exceptions are handled by `Trace`, outside of the routes."""
    app.add_exception_handler(SpeechError, _speech_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _framework_error)
