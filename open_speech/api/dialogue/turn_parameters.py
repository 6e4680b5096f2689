"""The parameters of a spoken dialogue: the fields of a form or of a `config` message -> the request of a turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from open_speech.api.dialogue.generation_config import GenerationConfig
from open_speech.api.dialogue.synthesis_config import SynthesisConfig
from open_speech.api.openai.recognition_request import recognition_request
from open_speech.api.openai.transcription_request import TranscriptionRequest
from open_speech.config import Settings
from open_speech.dialogue.local_model import LocalLanguageModel
from open_speech.dialogue.memory import SessionKey
from open_speech.dialogue.model import LanguageModel
from open_speech.dialogue.turn import Recording, TurnRequest
from open_speech.engine import Engine
from open_speech.errors import InvalidAudio, InvalidRequest, SpeechError
from open_speech.http import json_screen
from open_speech.http.errors import validated
from open_speech.recognition.request import RecognitionRequest

M = TypeVar("M", bound=BaseModel)
SESSION_CHARS = 200
"""Maximum characters of a session's id."""
INSTRUCTIONS_CHARS = 32_768
_CONFIG_TOKENS = json_screen.Bounds(tokens=1000)


def _object(value: object) -> object:
    """Parse a field of a form that contains JSON."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return {}
    try:
        parsed = json_screen.loads(value, _CONFIG_TOKENS)
    except (ValueError, RecursionError):
        raise ValueError("it must be a JSON object") from None
    if not isinstance(parsed, dict):
        raise ValueError("it must be a JSON object")
    return parsed


JsonObject = Annotated[dict[str, Any], BeforeValidator(_object)]


class DialogueFields(BaseModel):
    """The fields of a dialogue besides the audio. A field that is null counts as omitted; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True)

    instructions: str | None = Field(None, max_length=INSTRUCTIONS_CHARS, description="Default: `OS_DIALOGUE_INSTRUCTIONS`.")
    generation_config: JsonObject = Field({}, description="JSON: `max_tokens`, `temperature`, `top_p`, `top_k`, `stop`, `seed`, …")
    synthesis_config: JsonObject = Field({}, description="JSON: `format`, `reference_id`, `sample_rate`, `speed`, …")
    stream_audio: bool = Field(False, description="Send events as lines of JSON while the answer is spoken.")
    session_id: str | None = Field(
        None, min_length=1, max_length=SESSION_CHARS, description="Extension: the answer considers the earlier turns with this id."
    )
    model: str = Field("", max_length=500, description="Extension: language model. Default: `LLM_MODEL`.")
    language: str | None = Field(None, max_length=35, description="Extension: language of the audio.")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: object) -> object:
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data


@dataclass(frozen=True, slots=True)
class TurnParameters:
    """The validated parameters of a dialogue."""

    fields: DialogueFields
    generation: GenerationConfig
    synthesis: SynthesisConfig
    sample_rate: int | None
    """Hertz of the audio, as far as it is known before."""

    @classmethod
    async def of(cls, fields: DialogueFields, engine: Engine) -> TurnParameters:
        """Validate the parameters. Raises subclasses of InvalidRequest that name the field."""
        generation = _validated_part(GenerationConfig, fields.generation_config, "generation_config")
        synthesis = _validated_part(SynthesisConfig, fields.synthesis_config, "synthesis_config")
        return cls(fields, generation, synthesis, await _sample_rate(synthesis, engine))

    def turn(
        self, user: Recording | str, llm: LanguageModel, engine: Engine, settings: Settings, *, owner: str, kind: str = "dialogue"
    ) -> TurnRequest:
        """Return the request of one turn; `owner` is the owner of its session."""
        fields = self.fields
        instructions = settings.os_dialogue_instructions if fields.instructions is None else fields.instructions
        return TurnRequest(
            user,
            self.synthesis.request(engine.registry.defaults.tts_model),
            instructions,
            self.generation.options(is_local=isinstance(llm, LocalLanguageModel)),
            self.generation.max_tokens,
            settings.os_dialogue_max_speech_s,
            None if fields.session_id is None else SessionKey(owner, fields.session_id),
            kind,
        )


async def recognition_of(fields: DialogueFields, engine: Engine, settings: Settings, *, raw_rate: int | None = None) -> RecognitionRequest:
    """Return how the audio of a turn is transcribed: by the default model. Raises what `recognition_request` does."""
    body = validated(TranscriptionRequest, {} if fields.language is None else {"language": fields.language})
    return replace(await recognition_request(body, engine.pool, settings), raw_rate=raw_rate)


def checked_audio(source: bytes | Path) -> bytes | Path:
    """Return the audio of an upload. Raises InvalidAudio if it is empty."""
    if isinstance(source, bytes) and not source:
        raise InvalidAudio("The uploaded file is empty.", param="file")
    return source


def _validated_part(model: type[M], data: Mapping[str, Any], name: str) -> M:
    try:
        return validated(model, data)
    except InvalidRequest as error:
        error.param = f"{name}.{error.param}"
        raise


async def _sample_rate(synthesis: SynthesisConfig, engine: Engine) -> int | None:
    """Return the sample rate of the voice. Raises an error for a voice or model that the client names; others only prevent the speech."""
    request = synthesis.request(engine.registry.defaults.tts_model)
    try:
        voice = await engine.voices.resolve(
            request.model, request.voice, request.voice_options, speed=request.speed, language=request.language
        )
    except SpeechError:
        if synthesis.model is not None or synthesis.voice is not None or synthesis.language is not None:
            raise
        return synthesis.sample_rate
    return synthesis.sample_rate or (24_000 if synthesis.format == "pcm" else voice.model.sample_rate)
