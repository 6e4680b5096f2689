"""Settings: the language model that answers in conversations, on this machine or on another server."""

from __future__ import annotations

from pydantic import BaseModel, Field

from open_speech.config.types import Names

DEFAULT_MODEL = "default"
"""Value of LLM_MODEL for the first model of the catalog that is downloaded."""


class LanguageModelSettings(BaseModel):
    """The language model that answers in conversations, on this machine or on another server."""

    llm_base_url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Base URL of another server's language model, OpenAI-compatible: `http://host:port/v1`. Empty: it runs here.",
    )
    llm_api_key: str = Field("", repr=False, description="API key of the language model's server. Empty: none is sent.")
    llm_model: str = Field(
        DEFAULT_MODEL,
        description=(
            "Language model: its name at `LLM_BASE_URL`, or without that a model of the catalog, a GGUF file on the Hugging Face hub"
            " (`owner/repository-GGUF:Q4_K_M` or `owner/repository/file.gguf`), or the path of a GGUF file."
            " `default`: the first model of the catalog that is downloaded."
        ),
    )
    llm_timeout_s: float = Field(30.0, gt=0, description="Maximum wait for the first token and for each further one, in seconds.")
    llm_backends: Names = Field(
        ("auto",),
        description=(
            "Backends of language models, written as in `STT_BACKENDS`. Empty: none. `auto`: `llama` if `LLM_MODEL` is set, or if neither"
            " `STT_BACKENDS` nor `TTS_BACKENDS` is; none with `LLM_BASE_URL`."
        ),
    )
    llm_gpu_layers: int = Field(
        -1, ge=-1, description="Layers of the language model on the GPU; `-1`: all, if the installed llama.cpp supports the GPU."
    )
    llm_context_size: int = Field(
        4096, ge=256, le=1_048_576, description="Context of each conversation with the local language model, in tokens."
    )
    llm_threads: int = Field(
        0, ge=0, description="CPU threads of the local language model. `0`: as `OS_THREADS`, or else one fewer than there are cores."
    )
    llm_batch_size: int = Field(
        512,
        ge=32,
        le=65_536,
        description=(
            "Tokens of a prompt that the local language model processes at once. Meanwhile other conversations wait, and a request cannot"
            " be cancelled."
        ),
    )
    llm_parallel: int = Field(
        4, ge=1, le=64, description="Conversations that the local language model answers at the same time. Memory grows with each."
    )
    llm_max_tokens: int = Field(
        1024, ge=1, description="Maximum tokens of an answer of the local language model. A request for more is answered with this many."
    )
