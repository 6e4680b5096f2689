"""Every failure a caller can see: one hierarchy, each class knows its status, type and code.

Doors map these to their own envelope; runners send them across the process hop as data (`to_wire`, `from_wire`).
"""

from __future__ import annotations

from typing import Any, ClassVar


class SpeechError(Exception):
    """A failure that may be shown to a client: no secret, no path, no stack trace in the message.

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
        """Describe this error as plain data, for the frame that ends a failed call."""
        return {"kind": type(self).__name__, "message": self.message, "param": self.param, "retry_after_s": self.retry_after_s}


class InvalidRequest(SpeechError):
    """The request cannot be served as it is; repeating it unchanged cannot help."""

    status = 400
    type = "invalid_request_error"


class MissingField(InvalidRequest):
    """A required field is absent."""

    code = "missing_required_parameter"


class InvalidValue(InvalidRequest):
    """A field has a value outside its domain."""

    code = "invalid_value"


class TextTooLong(InvalidRequest):
    """The text to speak has more characters than the limit."""

    code = "string_above_max_length"


class NothingToSpeak(InvalidRequest):
    """The text holds nothing that can be spoken: empty, or only symbols such as emoji."""

    code = "nothing_to_speak"


class UnreadableText(InvalidRequest):
    """The text to speak is in a script that the voice does not read."""

    code = "unreadable_text"


class OutOfRange(InvalidRequest):
    """A number lies outside its range."""

    code = "decimal_out_of_range"


class UnsupportedValue(InvalidRequest):
    """The chosen model cannot do what the field asks for."""

    code = "unsupported_value"


class UnsupportedLanguage(UnsupportedValue):
    """The chosen model or voice does not cover the language."""

    code = "unsupported_language"


class UnknownVoice(InvalidRequest):
    """No voice of this name belongs to the chosen model."""

    code = "voice_not_found"


class WrongTask(InvalidRequest):
    """The model exists but does the other thing: it speaks where it should transcribe, or the reverse."""

    code = "model_wrong_task"


class UnknownItem(InvalidRequest):
    """Nothing that is stored here has this id."""

    status = 404
    code = "not_found"


class NotNow(InvalidRequest):
    """The thing is not in a state in which this can be done with it."""

    status = 409
    code = "conflict"


class KeyReused(InvalidRequest):
    """The `Idempotency-Key` came before, with another request."""

    status = 409
    code = "idempotency_key_reused"


class LibraryFull(InvalidRequest):
    """The voice library holds as much as it may; something must be deleted first."""

    code = "library_full"


class NotInstalled(InvalidRequest):
    """The model or language needs an extra that this server was installed without."""

    code = "not_installed"


class InvalidAudio(InvalidRequest):
    """The upload is not audio that can be decoded. OpenAI answers 400 with a null code here, and so do we."""


class AudioTooLong(InvalidRequest):
    """The upload holds more audio than the limit."""

    code = "audio_too_long"


class UploadTooLarge(InvalidRequest):
    """The request body is larger than the limit. OpenAI answers with type `server_error` and a null code."""

    status = 413
    type = "server_error"


class Unauthorized(InvalidRequest):
    """The API key is missing or wrong."""

    status = 401
    code = "invalid_api_key"


class TooManyGuesses(Unauthorized):
    """Many different wrong API keys came from one address: none from there is looked at for a while."""

    status = 429
    code = "too_many_wrong_keys"


class TooManyKeys(InvalidRequest):
    """One request carries more API keys than are looked at."""

    code = "too_many_keys"


class NotWelcome(InvalidRequest):
    """A web page of somebody else asks, or a name that is not ours was used for us."""

    status = 403
    code = "not_welcome"


class RateLimited(InvalidRequest):
    """More requests came from one caller than the limit allows. OpenAI's type for it is the name of what is limited."""

    status = 429
    type = "requests"
    code = "rate_limit_exceeded"


class BodyTooSlow(InvalidRequest):
    """The request's body comes too slowly, or not at all any more."""

    status = 408
    code = "request_timeout"


class UnknownModel(InvalidRequest):
    """No model of this name exists here or on the hub."""

    status = 404
    code = "model_not_found"


class PullNotAllowed(InvalidRequest):
    """The model's weights are not here, and OS_PULL_ALLOWED does not let a request have them downloaded."""

    status = 403
    code = "model_not_allowed"


class ModelTooLarge(InvalidRequest):
    """The model's weights are larger than OS_PULL_MAX_MB."""

    status = 403
    code = "model_too_large"


class UnknownPath(InvalidRequest):
    """No such URL."""

    status = 404


class MethodNotAllowed(InvalidRequest):
    """The URL exists, the method does not."""

    status = 405
    code = "method_not_supported"


class UpgradeRequired(InvalidRequest):
    """The URL is that of a WebSocket, and the request is none."""

    status = 426
    code = "upgrade_required"


class Overloaded(SpeechError):
    """More work is waiting than the server accepts; try again after `retry_after_s` seconds."""

    status = 429
    type = "server_error"
    code = "server_overloaded"


class Stopping(SpeechError):
    """The server was told to stop: it finishes what it has begun and takes nothing new."""

    status = 503
    code = "server_stopping"


class BackendFailed(SpeechError):
    """A backend raised; the details are in the log, under the request id."""

    code = "backend_failed"


class BackendUnavailable(SpeechError):
    """The process that runs the backend is gone or does not answer; it is started again by itself."""

    status = 503
    code = "backend_unavailable"


class BackendTimeout(SpeechError):
    """The backend did not answer within the deadline."""

    status = 504
    code = "backend_timeout"


class LanguageModelFailed(SpeechError):
    """The server of the language model answered with an error, or with something that is no answer."""

    status = 502
    code = "llm_failed"


class LanguageModelRefused(LanguageModelFailed):
    """It did not accept the request: its key, its model's name, or what was asked."""

    code = "llm_refused"


class LanguageModelBusy(LanguageModelFailed):
    """It has too much to do, or a quota is used up."""

    status = 429
    code = "llm_overloaded"


class LanguageModelUnavailable(LanguageModelFailed):
    """Nobody answers at its address."""

    status = 503
    code = "llm_unavailable"


class LanguageModelTimeout(LanguageModelFailed):
    """It fell silent for longer than LLM_TIMEOUT_S."""

    status = 504
    code = "llm_timeout"


class StorageFailed(SpeechError):
    """The disk took or gave no file: it is full, or the server may not write there."""

    code = "storage_failed"


class StorageFull(StorageFailed):
    """The disk, or the part of it that may be used, is full; something must be deleted first."""

    status = 507
    code = "insufficient_storage"


class WeightsUnavailable(SpeechError):
    """The model's files are not here and no source could deliver them."""

    status = 503
    code = "weights_unavailable"


class WeightsCorrupt(WeightsUnavailable):
    """A delivered file does not have the SHA-256 that the catalog names; it was deleted."""

    code = "weights_corrupt"


def _classes(root: type[SpeechError]) -> dict[str, type[SpeechError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found |= _classes(child)
    return found


def from_wire(data: dict[str, Any]) -> SpeechError:
    """Rebuild the error that `to_wire` described; a kind this version does not know becomes BackendFailed."""
    cls = _classes(SpeechError).get(str(data.get("kind")), BackendFailed)
    return cls(str(data.get("message", "")), param=data.get("param"), retry_after_s=data.get("retry_after_s"))
