"""The configuration of a Live session: strict validation, updates, and the session resource in events. Pure.

An unknown field is an error that names it. What this server cannot offer is an error as well: it is never accepted and then ignored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from open_speech.api.live.errors import ImmutableField, UnsupportedTool
from open_speech.api.live.permissions import ClientSection, DataChannel
from open_speech.api.realtime.checking import StrictValue, UnknownParameter, checked
from open_speech.api.realtime.effects import AudioFormat
from open_speech.errors import InvalidValue, MissingField, UnsupportedValue

CHARS_PER_TOKEN = 4
"""Limits of the API in tokens are counted as this many characters each."""
INSTRUCTIONS_TOKENS, INPUT_TOKENS, INPUT_MESSAGES = 16_384, 8_192, 128
MOST_TOOLS, TOOLS_CHARS = 128, 262_144
HOSTED_TOOLS = frozenset(
    {"web_search", "file_search", "code_interpreter", "shell", "image_generation", "mcp", "custom", "namespace", "tool_search"}
    | {"programmatic_tool_calling", "computer", "apply_patch"}
)
"""Types of tools that OpenAI runs, or that need a model made for them."""
CALL_FORMAT = AudioFormat("audio/pcm", 48_000)
"""The audio of a session over WebRTC, in this server. The client's is negotiated by its offer."""
_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Delay = Annotated[int, Field(ge=0, le=60_000)]


class VoiceId(StrictValue):
    """A voice by its id."""

    id: _Name


class Output(StrictValue):
    """The configuration of output audio."""

    voice: _Name | VoiceId | None = None


class AudioSection(StrictValue):
    """The configuration of audio."""

    format: dict[str, Any] | None = None
    output: Output | None = None


class PcmFormat(StrictValue):
    """16-bit PCM."""

    type: Literal["audio/pcm"]
    rate: Literal[24_000, 16_000] = 24_000


class G711Format(StrictValue):
    """G.711."""

    type: Literal["audio/pcmu", "audio/pcma"]
    rate: Literal[8_000] = 8_000


class Part(StrictValue):
    """The text of a message in the history."""

    text: str
    type: Literal["input_text", "output_text", "text"] = "input_text"


class Message(StrictValue):
    """A message in the history that a session starts with."""

    role: Literal["developer", "user", "assistant"]
    content: list[Part] = Field(min_length=1, max_length=1)
    id: str | None = None
    status: Literal["incomplete", "completed"] | None = None
    type: Literal["message"] | None = None


class ClientDelegation(StrictValue):
    """The application does the work."""

    type: Literal["client"] = "client"
    acknowledgement_delay_ms: _Delay | None = None


class Reasoning(StrictValue):
    """Options of reasoning models: accepted, not used."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    summary: Literal["concise", "detailed", "auto"] | None = None


class TextOptions(StrictValue):
    """Options of the text: accepted, not used."""

    verbosity: Literal["low", "medium", "high"] | None = None


class FunctionTool(StrictValue):
    """A function of the application."""

    type: Literal["function"]
    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Responses(StrictValue):
    """The language model that does the work, and its tools."""

    model: _Name
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = Field(None, max_length=MOST_TOOLS)
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    text: TextOptions | None = None
    service_tier: _Name | None = None
    max_output_tokens: Annotated[int, Field(ge=16)] | None = None


class ResponsesDelegation(StrictValue):
    """A language model of this server does the work, and calls functions of the application."""

    type: Literal["responses"]
    responses: Responses
    acknowledgement_delay_ms: _Delay | None = None


Delegation = ClientDelegation | ResponsesDelegation


class Start(StrictValue):
    """The `session` of `session.start`."""

    model: _Name
    instructions: str | None = None
    input: list[dict[str, Any]] | None = None
    audio: AudioSection | None = None
    delegation: dict[str, Any] | None = None
    client: dict[str, Any] | None = None
    safety_identifier: str | None = Field(None, max_length=512)
    store: bool | None = None
    triggers: list[dict[str, Any]] | None = None


class MediaStart(Start):
    """The `session` of a session over WebRTC."""

    idle_timeout_s: Any = None
    wake_policy: Any = None


@dataclass(frozen=True, slots=True)
class Config:
    """The effective configuration of a session."""

    model: str
    instructions: str | None
    input: tuple[Mapping[str, Any], ...]
    format: AudioFormat
    voice: str
    """Name of the voice as the session shows it."""
    delegation: Delegation
    safety_identifier: str | None = None
    is_call: bool = False
    """Whether the session is over WebRTC."""
    client: ClientSection | None = None

    @property
    def channel(self) -> DataChannel:
        """The permissions of the connection that started the session."""
        return self.client.data_channel if self.client else DataChannel()

    @property
    def responses(self) -> Responses | None:
        """The language model with its tools; None if the application does the work."""
        return self.delegation.responses if isinstance(self.delegation, ResponsesDelegation) else None

    def resource(self, id: str, expires_at: int) -> dict[str, Any]:
        """Return the session as events show it; `expires_at` in seconds since 1970."""
        body: dict[str, Any] = {
            "id": id, "expires_at": expires_at, "model": self.model, "status": "active", "instructions": self.instructions,
            "audio": {"output": {"voice": self.voice}},
            "delegation": _shown(self.delegation), "input": [dict(message) for message in self.input], "store": False,
        }  # fmt: skip
        if not self.is_call:
            body["audio"]["format"] = {"type": self.format.type, "rate": self.format.rate}
        if self.client is not None:
            body["client"] = self.client.model_dump(exclude_none=True)
        return body if self.safety_identifier is None else body | {"safety_identifier": self.safety_identifier}


def started(raw: object, *, default_voice: str, knows_voice: Callable[[str], bool], has_llm: bool, is_call: bool = False) -> Config:
    """Validate the `session` of a `session.start`, or with `is_call` that of a request for a session over WebRTC.

    Raises subclasses of InvalidRequest that name the field by its whole path.
    """
    start = checked(MediaStart if is_call else Start, raw, "session")
    if start.store:
        raise UnsupportedValue("This server does not store sessions.", param="session.store")
    if start.triggers:
        raise UnsupportedValue("This server does not offer decisions.", param="session.triggers")
    if isinstance(start, MediaStart):
        _check_media(start)
    elif start.client is not None:
        raise UnsupportedValue("`client` is for sessions over WebRTC.", param="session.client")
    if len(start.instructions or "") > INSTRUCTIONS_TOKENS * CHARS_PER_TOKEN:
        raise InvalidValue(f"The instructions are longer than {INSTRUCTIONS_TOKENS} tokens.", param="session.instructions")
    audio = start.audio or AudioSection()
    return Config(
        start.model, start.instructions, _history(start.input or []), CALL_FORMAT if is_call else _format(audio.format),
        _voice(audio.output, default_voice, knows_voice), _delegation(start.delegation, has_llm=has_llm), start.safety_identifier,
        is_call, None if start.client is None else checked(ClientSection, start.client, "session.client"),
    )  # fmt: skip


def updated(config: Config, raw: object) -> Config:
    """Merge the `session` of a `session.update`. Raises subclasses of InvalidRequest that name the field by its whole path."""
    if not isinstance(raw, Mapping):
        raise InvalidValue("`session` must be a JSON object.", param="session")
    known = (MediaStart if config.is_call else Start).model_fields
    for name in raw:
        if name in known and name not in ("delegation", "triggers"):
            raise ImmutableField(f"`session.{name}` cannot change after the start of the session.", param=f"session.{name}")
        if name not in known:
            raise UnknownParameter(f"Unknown parameter: `session.{name[:64]}`.", param=f"session.{name[:64]}")
    if raw.get("triggers"):
        raise UnsupportedValue("This server does not offer decisions.", param="session.triggers")
    change = raw.get("delegation")
    return config if change is None else replace(config, delegation=_changed(config.delegation, change))


def _check_media(start: MediaStart) -> None:
    """Check what is different over WebRTC. Raises UnsupportedValue."""
    if start.audio is not None and start.audio.format is not None:
        raise UnsupportedValue("Over WebRTC, the offer determines the format of the audio.", param="session.audio.format")
    for name in ("idle_timeout_s", "wake_policy"):
        if getattr(start, name) is not None:
            raise UnsupportedValue("This server does not pause sessions.", param=f"session.{name}")


def _changed(old: Delegation, change: object) -> Delegation:
    if not isinstance(change, Mapping):
        raise InvalidValue("`session.delegation` must be a JSON object.", param="session.delegation")
    kind = change.get("type")
    if kind is None:
        raise MissingField("The required parameter `session.delegation.type` is missing.", param="session.delegation.type")
    if kind != old.type:
        raise ImmutableField("The type of the delegation cannot change.", param="session.delegation.type")
    merged = _shown(old) | dict(change)
    if isinstance(old, ResponsesDelegation) and "responses" in change:
        responses = change["responses"]
        if not isinstance(responses, Mapping):
            raise InvalidValue("`session.delegation.responses` must be a JSON object.", param="session.delegation.responses")
        merged["responses"] = _shown(old)["responses"] | dict(responses)
    return _delegation(merged, has_llm=True)


def _shown(delegation: Delegation) -> dict[str, Any]:
    """Return a delegation as events show it."""
    return delegation.model_dump(exclude_none=True)


def _history(raw: list[dict[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    if len(raw) > INPUT_MESSAGES:
        raise InvalidValue(f"`session.input` has more than {INPUT_MESSAGES} messages.", param="session.input")
    messages = []
    for number, each in enumerate(raw):
        path = f"session.input[{number}]"
        message = checked(Message, each, path)
        is_output = message.content[0].type in ("output_text", "text")
        if is_output and message.role != "assistant":
            raise InvalidValue("The content of this role must be `input_text`.", param=f"{path}.content[0].type")
        messages.append(message.model_dump(exclude_none=True))
    if sum(len(message["content"][0]["text"]) for message in messages) > INPUT_TOKENS * CHARS_PER_TOKEN:
        raise InvalidValue(f"`session.input` is longer than {INPUT_TOKENS} tokens.", param="session.input")
    return tuple(messages)


def _format(raw: Mapping[str, Any] | None) -> AudioFormat:
    if raw is None:
        return AudioFormat()
    path = "session.audio.format"
    if raw.get("type") in ("audio/pcmu", "audio/pcma"):
        law = checked(G711Format, raw, path)
        return AudioFormat(law.type, law.rate)
    return AudioFormat("audio/pcm", checked(PcmFormat, raw, path).rate)


def _voice(output: Output | None, default: str, knows_voice: Callable[[str], bool]) -> str:
    voice = output.voice if output else None
    if voice is None:
        return default
    name, param = (voice, "") if isinstance(voice, str) else (voice.id, ".id")
    if not knows_voice(name):
        raise InvalidValue("No such voice.", param=f"session.audio.output.voice{param}")
    return name


def _delegation(raw: Mapping[str, Any] | None, *, has_llm: bool) -> Delegation:
    if raw is None:
        return ClientDelegation()
    path = "session.delegation"
    match raw.get("type"):
        case None:
            raise MissingField(f"The required parameter `{path}.type` is missing.", param=f"{path}.type")
        case "client":
            return checked(ClientDelegation, raw, path)
        case "responses":
            delegation = checked(ResponsesDelegation, raw, path)
            _check_tools(delegation.responses, f"{path}.responses")
        case "decisions":
            raise UnsupportedValue("This server does not offer decisions.", param=f"{path}.type")
        case _:
            raise InvalidValue(f"`{path}.type` must be client or responses.", param=f"{path}.type")
    if not has_llm:
        raise UnsupportedValue("This server has no language model, which `responses` needs.", param=f"{path}.type")
    return delegation


def _check_tools(responses: Responses, path: str) -> None:
    """Check the tools and the choice among them. Raises UnsupportedTool for a type that this server does not have."""
    for number, tool in enumerate(responses.tools or []):
        kind = tool.get("type")
        if kind in HOSTED_TOOLS:
            raise UnsupportedTool(f"This server has no tools of type {kind}; use functions.", param=f"{path}.tools[{number}].type")
        checked(FunctionTool, tool, f"{path}.tools[{number}]")
    if len(json.dumps(responses.tools)) > TOOLS_CHARS:
        raise InvalidValue(f"The tools are longer than {TOOLS_CHARS} characters as JSON.", param=f"{path}.tools")
    choice = responses.tool_choice
    if isinstance(choice, str) and choice not in ("auto", "none", "required"):
        raise InvalidValue("`tool_choice` must be auto, none, required or an object.", param=f"{path}.tool_choice")
    if isinstance(choice, Mapping) and (choice.get("type") != "function" or not isinstance(choice.get("name"), str)):
        raise UnsupportedValue("`tool_choice` may be a mode or a function.", param=f"{path}.tool_choice")
