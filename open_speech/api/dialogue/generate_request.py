"""The body of `/v1/generate`, and the generation of its text."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from pydantic import Field

from open_speech.api.dialogue.generation_config import GenerationConfig
from open_speech.dialogue.completions import Ended, Piece
from open_speech.dialogue.language_models import LanguageModels
from open_speech.dialogue.local_model import LocalLanguageModel
from open_speech.dialogue.measured_model import MeasuredModel
from open_speech.dialogue.model import LanguageModel
from open_speech.errors import SpeechError
from open_speech.metrics.meter import Meter

PROMPT_CHARS = 262_144
KIND = "generate"


class GenerateRequest(GenerationConfig):
    """Body of `POST /v1/generate`."""

    prompt: str = Field(min_length=1, max_length=PROMPT_CHARS)
    system_prompt: str = Field("", max_length=32_768)
    model: str = Field("", max_length=500, description="Extension: language model. Default: `LLM_MODEL`.")

    def request(self, llm: LanguageModel) -> dict[str, Any]:
        """Return the body of `/chat/completions`."""
        system = [{"role": "system", "content": self.system_prompt}] if self.system_prompt.strip() else []
        return {
            **self.options(is_local=isinstance(llm, LocalLanguageModel)),
            "max_tokens": self.max_tokens,
            "messages": [*system, {"role": "user", "content": self.prompt}],
        }


async def generated(body: GenerateRequest, models: LanguageModels, meter: Meter) -> AsyncGenerator[tuple[str, Piece], None]:
    """Yield the parts of a generated text, each with the name of the model; the last one is an Ended with the usage.

    Raises what LanguageModels.open and LanguageModel.answer raise.
    """
    llm = await models.open(body.model, live=False)
    measured = MeasuredModel(llm, max_tokens=body.max_tokens)
    began = measured.now()
    try:
        async with aclosing(measured.answer(body.request(llm))) as pieces:
            async for piece in pieces:
                if isinstance(piece, Ended):
                    meter.stage("llm", measured.now() - began)
                    meter.dialogue(KIND, measured.now() - began)
                yield llm.name, piece
    except SpeechError:
        meter.stage("llm", None)
        meter.dialogue(KIND, 0.0, failed=True)
        raise
    finally:
        await llm.aclose()
