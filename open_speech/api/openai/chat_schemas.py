"""Bodies of `POST /v1/chat/completions` and `/v1/completions`, after OpenAI's API reference. Unknown fields are kept for another server."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

MOST_STOPS = 16
"""Maximum number of stop texts: OpenAI accepts 4, and agents send more to local servers."""
ChatFormat = Literal["text", "json_object", "json_schema"]
"""The `type` of `response_format`."""
_Bias = Annotated[float, Field(ge=-100, le=100)]
_Stop = Annotated[str, Field(min_length=1, max_length=256)]


def _only_one(count: int | None) -> int | None:
    if count not in (None, 1):
        raise ValueError("one answer is generated for each request, so `n` must be 1")
    return count


class _Open(BaseModel):
    """A body whose unknown fields are kept, and not checked."""

    model_config = ConfigDict(frozen=True, extra="allow")


class ContentPart(_Open):
    """A part of a message: a text, or something that only another server's model may understand."""

    type: str
    text: str | None = None

    @model_validator(mode="after")
    def _has_text(self) -> Self:
        if self.type == "text" and self.text is None:
            raise ValueError("a part of type `text` needs `text`")
        return self


class CalledFunction(_Open):
    """The function of a tool call; `arguments` is JSON in a string."""

    name: str
    arguments: str


class ToolCall(_Open):
    """A tool call in an earlier answer."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(_Open):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise ValueError(f"a message of the role `{self.role}` needs `content`")
        if self.role == "tool" and self.tool_call_id is None:
            raise ValueError("a message of the role `tool` needs `tool_call_id`")
        return self


class FunctionTool(_Open):
    """The function of a tool; `parameters` is a JSON schema."""

    name: str = Field(min_length=1, max_length=64)
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(_Open):
    """A function that the model may call. It is called by the client."""

    type: Literal["function"]
    function: FunctionTool


class ChosenFunction(_Open):
    """The name of a function that the model must call."""

    name: str


class ToolChoice(_Open):
    """A choice of one function."""

    type: Literal["function"]
    function: ChosenFunction


class JsonSchema(_Open):
    """A schema that the answer follows."""

    name: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(_Open):
    """The form of the answer."""

    type: ChatFormat
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _has_schema(self) -> Self:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("the type `json_schema` needs `json_schema`")
        return self


class StreamOptions(_Open):
    """Options of a streamed answer."""

    include_usage: bool = False


class _Sampling(_Open):
    """The fields that chats and completions share."""

    model: str | None = Field(None, description="Id of a language model, or its name at `LLM_BASE_URL`. Default: as `default`.")
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(
        None, ge=1, description="Maximum tokens of the answer; a local model generates `LLM_MAX_TOKENS` at most."
    )
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=0, description="Extension, as in llama.cpp.")
    min_p: float | None = Field(None, ge=0, le=1, description="Extension, as in llama.cpp.")
    repeat_penalty: float | None = Field(None, ge=0, le=10, description="Extension, as in llama.cpp.")
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: dict[Annotated[str, Field(pattern=r"^\d+$")], _Bias] | None = Field(None, max_length=1024)
    seed: int | None = Field(None, ge=-(1 << 31), lt=1 << 32)
    stop: _Stop | Annotated[list[_Stop], Field(max_length=MOST_STOPS)] | None = None
    n: Annotated[int | None, AfterValidator(_only_one)] = None

    @property
    def has_usage(self) -> bool:
        """Whether a streamed answer ends with its usage."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(_Sampling):
    """Body of `POST /v1/chat/completions`."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1, description="The newer name of `max_tokens`.")
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    tools: list[Tool] | None = Field(None, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    modalities: list[str] | None = None
    timings_per_token: bool | None = Field(None, description="Extension, as in llama.cpp: `true` adds its `timings` to the answer.")

    @field_validator("top_logprobs")
    @classmethod
    def _needs_logprobs(cls, count: int | None, info: Any) -> int | None:
        if count is not None and not info.data.get("logprobs"):
            raise ValueError("it needs `logprobs: true`")
        return count

    @field_validator("tool_choice")
    @classmethod
    def _is_offered(cls, choice: Any, info: Any) -> Any:
        offered = {tool.function.name for tool in info.data.get("tools") or ()}
        if isinstance(choice, ToolChoice) and choice.function.name not in offered:
            raise ValueError(f"`tools` has no function `{choice.function.name}`")
        if choice == "required" and not offered:
            raise ValueError("`required` needs `tools`")
        return choice


class CompletionRequest(_Sampling):
    """Body of `POST /v1/completions`: the continuation of a text, by a local language model."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)] = Field(description="The text. A list may have one text.")
    echo: Literal[False] | None = None
    suffix: Literal[""] | None = None
    best_of: Literal[1] | None = None
    logprobs: Literal[0] | None = None
    timings_per_token: bool | None = Field(None, description="As in `/v1/chat/completions`.")

    @property
    def text(self) -> str:
        """The text to continue."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]
