"""All errors that a client can receive: one hierarchy in which each class defines its status, type and code.

Each API maps them to its own error format. Runners send them to the front process as data (`to_wire`, `from_wire`).
"""

from __future__ import annotations

from typing import Any, ClassVar


class SpeechError(Exception):
    """An error that may be sent to a client: its message contains no secret, no path and no stack trace.

    `param` names the request field at fault. `retry_after_s` is in seconds. Status and type follow OpenAI's error table.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = None

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s

    def to_wire(self) -> dict[str, Any]:
        """Return this error as plain data, for the frame that ends a failed call."""
        return {"kind": type(self).__name__, "message": self.message, "param": self.param, "retry_after_s": self.retry_after_s}


class InvalidRequest(SpeechError):
    """The request is invalid; repeating it unchanged does not help."""

    status = 400
    type = "invalid_request_error"


class MissingField(InvalidRequest):
    """A required field is absent."""

    code = "missing_required_parameter"


class InvalidValue(InvalidRequest):
    """A field has a value that is not allowed."""

    code = "invalid_value"


class TextTooLong(InvalidRequest):
    """The text to speak has more characters than the limit."""

    code = "string_above_max_length"


class NothingToSpeak(InvalidRequest):
    """The text contains nothing to speak: it is empty, or has only symbols such as emoji."""

    code = "nothing_to_speak"


class UnreadableText(InvalidRequest):
    """The text to speak is in a script that the voice does not support."""

    code = "unreadable_text"


class OutOfRange(InvalidRequest):
    """A number is outside its range."""

    code = "decimal_out_of_range"


class UnsupportedValue(InvalidRequest):
    """The selected model does not support the value of a field."""

    code = "unsupported_value"


class UnsupportedLanguage(UnsupportedValue):
    """The selected model or voice does not support the language."""

    code = "unsupported_language"


class UnknownVoice(InvalidRequest):
    """The selected model has no voice with this name."""

    code = "voice_not_found"


class WrongTask(InvalidRequest):
    """The model exists but has the other task: synthesis instead of transcription, or the reverse."""

    code = "model_wrong_task"


class UnknownItem(InvalidRequest):
    """No stored item has this id."""

    status = 404
    code = "not_found"


class NotNow(InvalidRequest):
    """The item is not in a state that allows the operation."""

    status = 409
    code = "conflict"


class KeyReused(InvalidRequest):
    """The `Idempotency-Key` was already used with a different request."""

    status = 409
    code = "idempotency_key_reused"


class LibraryFull(InvalidRequest):
    """The voice library has reached its limit; something must be deleted first."""

    code = "library_full"


class NotInstalled(InvalidRequest):
    """The model or language needs an extra that is not installed on this server."""

    code = "not_installed"


class InvalidAudio(InvalidRequest):
    """The upload is not audio that can be decoded. As with OpenAI, the status is 400 and the code is null."""


class AudioTooLong(InvalidRequest):
    """The upload contains more audio than the limit."""

    code = "audio_too_long"


class UploadTooLarge(InvalidRequest):
    """The request body is larger than the limit. As with OpenAI, the type is `server_error` and the code is null."""

    status = 413
    type = "server_error"


class Unauthorized(InvalidRequest):
    """The API key is missing or wrong."""

    status = 401
    code = "invalid_api_key"


class WrongKey(Unauthorized):
    """The request carries an API key, but not a valid one."""


class TooManyGuesses(Unauthorized):
    """Many different wrong API keys were sent from one address: keys from there are not checked for a while."""

    status = 429
    code = "too_many_wrong_keys"


class TooManyKeys(InvalidRequest):
    """One request carries more API keys than are accepted."""

    code = "too_many_keys"


class NotWelcome(InvalidRequest):
    """The request is from a web page of another origin, or was sent to a host name that is not one of this server."""

    status = 403
    code = "not_welcome"


class RateLimited(InvalidRequest):
    """One caller sent more requests than the limit allows. OpenAI's type for this error names what is limited."""

    status = 429
    type = "requests"
    code = "rate_limit_exceeded"


class BodyTooSlow(InvalidRequest):
    """The request body arrives too slowly, or no longer arrives."""

    status = 408
    code = "request_timeout"


class UnknownModel(InvalidRequest):
    """No model with this name exists on this server or on the hub."""

    status = 404
    code = "model_not_found"


class UnknownReplica(InvalidRequest):
    """No replica of the backend has the address."""

    status = 404
    code = "replica_not_found"


class PullNotAllowed(InvalidRequest):
    """The model's weights are not downloaded, and OS_PULL_ALLOWED does not let a request download them."""

    status = 403
    code = "model_not_allowed"


class ModelTooLarge(InvalidRequest):
    """The model's weights are larger than OS_PULL_MAX_MB."""

    status = 403
    code = "model_too_large"


class ModelElsewhere(InvalidRequest):
    """Another server runs the model, and the API key of the request forbids that audio or text is sent to other servers."""

    status = 403
    code = "model_elsewhere"


class UnknownPath(InvalidRequest):
    """The URL does not exist."""

    status = 404


class MethodNotAllowed(InvalidRequest):
    """The URL does not accept the method."""

    status = 405
    code = "method_not_supported"


class UpgradeRequired(InvalidRequest):
    """The URL is that of a WebSocket, but the request does not open one."""

    status = 426
    code = "upgrade_required"


class Overloaded(SpeechError):
    """More work is waiting than the server accepts; try again after `retry_after_s` seconds."""

    status = 429
    type = "server_error"
    code = "server_overloaded"


class Stopping(SpeechError):
    """The server is shutting down: it finishes the requests in progress and accepts no new ones."""

    status = 503
    code = "server_stopping"


class BackendFailed(SpeechError):
    """A backend raised an exception; the details are in the log under the request id."""

    code = "backend_failed"


class NotEnoughMemory(BackendFailed):
    """A model needs more memory than is available."""

    status = 503
    code = "not_enough_memory"


class BackendUnavailable(SpeechError):
    """The process of the backend has died or does not respond; it is restarted automatically."""

    status = 503
    code = "backend_unavailable"


class BackendCrashed(SpeechError):
    """The process of the backend died three times on this call, which is therefore not tried again for a while."""

    code = "backend_crashed"


class BackendTimeout(SpeechError):
    """The backend did not respond within the deadline."""

    status = 504
    code = "backend_timeout"


class LanguageModelFailed(SpeechError):
    """The language model server returned an error or an invalid response."""

    status = 502
    code = "llm_failed"


class LanguageModelRefused(LanguageModelFailed):
    """The language model server rejected the request: its key, its model or its content."""

    code = "llm_refused"


class LanguageModelBusy(LanguageModelFailed):
    """The language model server is overloaded, or a quota is used up."""

    status = 429
    code = "llm_overloaded"


class ContextOverflow(InvalidRequest):
    """A conversation is longer than the context of the language model."""

    code = "context_length_exceeded"


class LanguageModelUnavailable(LanguageModelFailed):
    """The language model server does not accept connections."""

    status = 503
    code = "llm_unavailable"


class LanguageModelTimeout(LanguageModelFailed):
    """The language model server sent nothing for longer than LLM_TIMEOUT_S."""

    status = 504
    code = "llm_timeout"


class NotConfigured(SpeechError):
    """The endpoint needs settings that this server does not have; the message names them."""

    status = 503
    code = "not_configured"


class StorageFailed(SpeechError):
    """A file cannot be read or written: the disk is full, or the server has no permission."""

    code = "storage_failed"


class DatabaseUnavailable(StorageFailed):
    """The database of the jobs does not answer. Nothing is lost: the request may be repeated."""

    status = 503
    code = "database_unavailable"


class StorageFull(StorageFailed):
    """The disk, or the part of it that the server may use, is full; something must be deleted first."""

    status = 507
    code = "insufficient_storage"


class SharedStateUnavailable(SpeechError):
    """The Redis or Valkey server with the state that several servers share does not respond; try again after `retry_after_s` seconds."""

    status = 503
    code = "shared_state_unavailable"


class WeightsUnavailable(SpeechError):
    """The model's files are not downloaded, and no source could deliver them."""

    status = 503
    code = "weights_unavailable"


class WeightsCorrupt(WeightsUnavailable):
    """A file is damaged: a downloaded one does not have the SHA-256 in the catalog, and was deleted; a file of the user is not complete."""

    code = "weights_corrupt"


def _classes(root: type[SpeechError]) -> dict[str, type[SpeechError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found |= _classes(child)
    return found


def from_wire(data: dict[str, Any]) -> SpeechError:
    """Rebuild an error from the data of `to_wire`; a kind that this version does not know becomes BackendFailed."""
    cls = _classes(SpeechError).get(str(data.get("kind")), BackendFailed)
    return cls(str(data.get("message", "")), param=data.get("param"), retry_after_s=data.get("retry_after_s"))
