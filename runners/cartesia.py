"""Cartesia as a backend: `cartesia` transcribes recorded audio, `cartesia-tts` speaks.

Source: docs.cartesia.ai, `POST /stt` and `POST /tts/bytes`, version 2025-04-16.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from open_speech.backends import SpeechOptions, TranscribeOptions
from open_speech.errors import BackendFailed
from runners.support.cloud import RATE, CloudBackend, CloudSynthesizer, CloudTranscriber, Written, primary, whole_json
from runners.wiring.bento_service import Resources, stt_service, tts_service

CALLS = 16
"""Maximum concurrent requests: the provider does the work."""
VERSION = "2025-04-16"
"""Version of the API, which every request names."""


class _Cartesia(CloudBackend):
    provider = "cartesia"

    def _headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}", "Cartesia-Version": VERSION}


class CartesiaTranscriber(_Cartesia, CloudTranscriber):
    """A recognizer of Cartesia. It assumes English if the request has no language."""

    def _upload(self, wav: bytes, options: TranscribeOptions) -> Iterator[Written]:
        form: dict[str, str | list[str]] = {"model": self._name, "timestamp_granularities[]": ["word"]}
        form |= {"language": options.language} if options.language else {}
        files = {"file": ("audio.wav", wav, "audio/wav")}
        for answer in self._server.post("/stt", whole_json, data=form, files=files):
            yield written_of(answer)


class CartesiaSynthesizer(_Cartesia, CloudSynthesizer):
    """A synthesizer of Cartesia, whose voices are ids."""

    def _request(self, text: str, options: SpeechOptions) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {
            "model_id": self._name,
            "transcript": text,
            "voice": {"mode": "id", "id": options.voice},
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": RATE},
        }
        body |= {"language": primary(options.language)} if options.language else {}
        return "/tts/bytes", {"json": body}


def written_of(answer: Any) -> Written:
    """Parse a transcript. Raises BackendFailed if it is not one."""
    match answer:
        case {"text": str(text), **rest}:
            rows = rest.get("words")
            language = rest.get("language")
            words = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            return Written(text, words, language if isinstance(language, str) else None)
    raise BackendFailed("Cartesia returned an invalid response (no transcript).")


Listener = stt_service("cartesia", CartesiaTranscriber, Resources(threads=CALLS, cpu=0.5, memory="256Mi"))
Speaker = tts_service("cartesia-tts", CartesiaSynthesizer, Resources(threads=CALLS, cpu=0.5, memory="256Mi"))
