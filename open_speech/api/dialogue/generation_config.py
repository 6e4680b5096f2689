"""The options of a generated text, with GemmaVoice's names and defaults. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

STOPS = 16
"""Maximum number of texts that end the generation."""
STANDARD = ("temperature", "top_p", "stop", "seed")
"""Options that every server with OpenAI's `/chat/completions` accepts. Others are sent to another server only if the client sets them."""
IGNORED = ("tfs_z", "max_tokens")


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class GenerationConfig(BaseModel):
    """Sampling options. A field that is null counts as omitted; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True)

    max_tokens: int = Field(512, ge=1, le=4096, description="Maximum tokens of the answer; `LLM_MAX_TOKENS` applies as well.")
    temperature: float = Field(0.7, ge=0, le=2)
    top_p: float = Field(0.95, ge=0, le=1)
    top_k: int = Field(40, ge=0, le=1000)
    repeat_penalty: float = Field(1.1, ge=0, le=2)
    min_p: float = Field(0.05, ge=0, le=1)
    typical_p: float = Field(1.0, ge=0, le=1)
    tfs_z: float = Field(1.0, ge=0, le=1, description="Accepted and ignored: llama.cpp no longer has it.")
    stop: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], BeforeValidator(_listed)] = Field((), max_length=STOPS)
    seed: int | None = Field(None, ge=-1, le=2**32 - 1)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: object) -> object:
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data

    def options(self, *, is_local: bool) -> dict[str, Any]:
        """Return the fields of `/chat/completions`, besides `max_tokens`."""
        values = {name: getattr(self, name) for name in GenerationConfig.model_fields if name not in IGNORED}
        sent = {name: value for name, value in values.items() if is_local or name in STANDARD or name in self.model_fields_set}
        return {name: list(value) if name == "stop" else value for name, value in sent.items() if value not in (None, ())}
