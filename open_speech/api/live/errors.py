"""The errors of the Live API, and the event that reports one. Values."""

from __future__ import annotations

from typing import Any

from open_speech.errors import InvalidRequest, SpeechError, UnsupportedValue


class UnsupportedEvent(InvalidRequest):
    """An event of the Live API that this server does not offer."""

    code = "unsupported_event"


class InvalidLiveAudio(InvalidRequest):
    """The audio of an event is not base64, or ends in the middle of a sample."""

    code = "invalid_audio"


class ImmutableField(InvalidRequest):
    """The field cannot change after the start of the session."""

    code = "immutable_field_update"


class UnsupportedTool(UnsupportedValue):
    """A tool that OpenAI hosts, and this server does not have."""

    code = "unsupported_tool"


class AlreadyStarted(InvalidRequest):
    """The session has started already."""

    code = "session_already_started"


class PermissionDenied(InvalidRequest):
    """A connection that is attached to a session may not send this event."""

    code = "permission_denied"


class TooManyPending(InvalidRequest):
    """Too many appends are not acknowledged yet."""

    code = "rate_limit_exceeded"


class InputBufferFull(InvalidRequest):
    """The input of the responses of this session is too large."""

    code = "response_input_buffer_full"


class OutputsRequired(InvalidRequest):
    """A function call has no output yet."""

    code = "function_call_outputs_required"


class ResponseInProgress(InvalidRequest):
    """A response is being generated already."""

    code = "response_in_progress"


class NoResponseInput(InvalidRequest):
    """There is no new input to respond to."""

    code = "no_response_input"


class ContextIncomplete(InvalidRequest):
    """The session ended before an appended text had its place on the timeline."""

    code = "context_injection_incomplete"


class UnknownSession(InvalidRequest):
    """No session has this id."""

    status = 404
    code = "session_not_found"


class ChannelPermission(InvalidRequest):
    """The session's configuration does not let its data channel send this event."""

    code = "data_channel_permissions"


def failure(error: SpeechError, client_event_id: str | None = None) -> dict[str, Any]:
    """Build an `error` event for a command of a client; the session continues."""
    return _event(error.type, error.code or error.type, error.message, error.param, client_event_id)


def pipeline_failure(error: SpeechError) -> dict[str, Any]:
    """Build an `error` event for a part of the server that failed: recognition, language model or speech. The session continues."""
    return _event("server_error", "pipeline_error", error.message, None, None)


def _event(type: str, code: str, message: str, param: str | None, client_event_id: str | None) -> dict[str, Any]:
    details = {"type": type, "code": code, "message": message}
    optional = {"param": param, "client_event_id": client_event_id}
    return {"type": "error", "error": details | {name: value for name, value in optional.items() if value is not None}}
