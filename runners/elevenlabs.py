"""ElevenLabs as a backend: `elevenlabs` transcribes recorded audio, `elevenlabs-tts` speaks.

Source: elevenlabs.io/docs/api-reference, `POST /v1/speech-to-text` and `POST /v1/text-to-speech/{voice_id}/stream`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from open_speech.backends import SpeechOptions, TranscribeOptions
from open_speech.errors import BackendFailed
from runners.support.cloud import RATE, CloudBackend, CloudSynthesizer, CloudTranscriber, Written, primary, whole_json
from runners.wiring.bento_service import Resources, stt_service, tts_service

CALLS = 16
"""Maximum concurrent requests: the provider does the work."""
_TAKES_LANGUAGE = ("_v2_5", "_v3")
"""Endings of the names of models that accept `language_code`; others reject it."""


class _ElevenLabs(CloudBackend):
    provider = "elevenlabs"

    def _headers(self, key: str) -> dict[str, str]:
        return {"xi-api-key": key}


class ElevenLabsTranscriber(_ElevenLabs, CloudTranscriber):
    """A recognizer of ElevenLabs."""

    def _upload(self, wav: bytes, options: TranscribeOptions) -> Iterator[Written]:
        form = {"model_id": self._name, "timestamps_granularity": "word", "tag_audio_events": "false"}
        form |= {"language_code": options.language} if options.language else {}
        files = {"file": ("audio.wav", wav, "audio/wav")}
        for answer in self._server.post("/v1/speech-to-text", whole_json, data=form, files=files):
            yield written_of(answer)


class ElevenLabsSynthesizer(_ElevenLabs, CloudSynthesizer):
    """A synthesizer of ElevenLabs, whose voices are ids."""

    def _request(self, text: str, options: SpeechOptions) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {"text": text, "model_id": self._name}
        if options.language and self._name.endswith(_TAKES_LANGUAGE):
            body["language_code"] = primary(options.language)
        if options.speed != 1.0:
            body["voice_settings"] = {"speed": options.speed}
        path = f"/v1/text-to-speech/{quote(options.voice, safe='')}/stream"
        return path, {"params": {"output_format": f"pcm_{RATE}"}, "json": body}


def written_of(answer: Any) -> Written:
    """Parse a transcript; tags of audio events are left out. Raises BackendFailed if it is not one."""
    match answer:
        case {"text": str(text), **rest}:
            rows = rest.get("words")
            words = [_word(row) for row in rows if isinstance(row, dict) and row.get("type") == "word"] if isinstance(rows, list) else []
            language = rest.get("language_code")
            return Written(text, words, language if isinstance(language, str) else None)
    raise BackendFailed("ElevenLabs returned an invalid response (no transcript).")


def _word(row: Mapping[str, Any]) -> dict[str, Any]:
    logprob = row.get("logprob")
    probability = math.exp(min(logprob, 0.0)) if isinstance(logprob, (int, float)) else None
    return {"word": row.get("text"), "start": row.get("start"), "end": row.get("end"), "probability": probability}


Listener = stt_service("elevenlabs", ElevenLabsTranscriber, Resources(threads=CALLS, cpu=0.5, memory="256Mi"))
Speaker = tts_service("elevenlabs-tts", ElevenLabsSynthesizer, Resources(threads=CALLS, cpu=0.5, memory="256Mi"))
