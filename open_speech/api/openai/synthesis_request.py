"""A validated body of a speech request -> SynthesisRequest."""

from __future__ import annotations

from open_speech.api.openai.schemas import SpeechRequest
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.voices import VoiceOptions


def synthesis_request(body: SpeechRequest, voice_options: VoiceOptions, *, cache: bool = True, is_long: bool = False) -> SynthesisRequest:
    """Convert the body of a request. `cache` is False if the cache is disabled by something other than the body."""
    return SynthesisRequest(
        body.model,
        body.input,
        voice=body.voice_id,
        speed=body.speed,
        language=body.language,
        voice_options=voice_options,
        input_type=body.input_type,
        is_long=is_long,
        rate=body.sample_rate,
        cache=body.cache and cache,
    )
