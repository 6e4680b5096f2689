"""Deepgram as a backend: `deepgram` transcribes recorded audio, `deepgram-tts` speaks.

Source: developers.deepgram.com, `POST /v1/listen` and `POST /v1/speak`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from open_speech.backends import SpeechOptions, TranscribeOptions
from open_speech.errors import BackendFailed, UnsupportedLanguage
from runners.support.cloud import RATE, CloudBackend, CloudSynthesizer, CloudTranscriber, Written, primary, whole_json
from runners.wiring.bento_service import Resources, stt_service, tts_service

CALLS = 16
"""Maximum concurrent requests: the provider does the work."""


class _Deepgram(CloudBackend):
    provider = "deepgram"

    def _headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Token {key}"}


class DeepgramTranscriber(_Deepgram, CloudTranscriber):
    """A recognizer of Deepgram."""

    def _upload(self, wav: bytes, options: TranscribeOptions) -> Iterator[Written]:
        terms = [term.strip() for term in (options.hotwords or "").split(",") if term.strip()]
        params: dict[str, str | list[str]] = {"model": self._name, "punctuate": "true", "smart_format": "true"}
        params |= {"language": options.language} if options.language else {"detect_language": list(options.languages) or "true"}
        # Nova-3 has replaced `keywords` by `keyterm`.
        params |= {"keyterm" if self._name.startswith("nova-3") else "keywords": terms} if terms else {}
        for answer in self._server.post("/v1/listen", whole_json, params=params, content=wav, headers={"Content-Type": "audio/wav"}):
            yield written_of(answer)


class DeepgramSynthesizer(_Deepgram, CloudSynthesizer):
    """A synthesizer of Deepgram, whose names of voices contain the language: `thalia-en`."""

    def _request(self, text: str, options: SpeechOptions) -> tuple[str, dict[str, Any]]:
        speaks = options.voice.rpartition("-")[2]
        if options.language and primary(options.language) != speaks:
            raise UnsupportedLanguage(f"The voice `{options.voice[:60]}` does not speak `{options.language[:40]}`.", param="language")
        params = {"model": f"{self._name}-{options.voice}", "encoding": "linear16", "container": "none", "sample_rate": str(RATE)}
        return "/v1/speak", {"params": params, "json": {"text": text}}


def written_of(answer: Any) -> Written:
    """Parse the transcript of the first channel. Raises BackendFailed if there is none."""
    match answer:
        case {"results": {"channels": [{"alternatives": [{"transcript": str(text), **best}, *_], **channel}, *_]}}:
            rows = best.get("words")
            words = [_word(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            language = channel.get("detected_language")
            return Written(text, words, language if isinstance(language, str) else None)
    raise BackendFailed("Deepgram returned an invalid response (no transcript).")


def _word(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "word": row.get("punctuated_word") or row.get("word"),
        "start": row.get("start"),
        "end": row.get("end"),
        "probability": row.get("confidence"),
    }


Listener = stt_service("deepgram", DeepgramTranscriber, Resources(threads=CALLS, cpu=0.5, memory="256Mi"))
Speaker = tts_service("deepgram-tts", DeepgramSynthesizer, Resources(threads=CALLS, cpu=0.5, memory="256Mi"))
