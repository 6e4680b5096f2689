"""Fish Speech and OpenAudio: speech synthesis by an external fish-speech server (`POST /v1/tts`), which has the weights."""

from __future__ import annotations

import base64
import logging
import random
import re
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from open_speech.audio import Audio
from open_speech.backends import Setup, SpeechOptions
from open_speech.codecs import wav_bytes
from open_speech.errors import (
    BackendFailed,
    BackendTimeout,
    BackendUnavailable,
    Overloaded,
    SpeechError,
    UnknownVoice,
)
from runners.support.audio_formats import format_of
from runners.support.backend_options import FishOptions
from runners.support.wav_stream import WavStream
from runners.wiring.bento_service import Resources, tts_service

log = logging.getLogger("open_speech.fish")

DEFAULT_VOICE = "default"
CONNECT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
"""Seconds before the first retry, doubled with each one, and the longest wait that a server may request with Retry-After."""
CHUNK_BYTES = 16_384
"""Bytes of audio per read: 0.19 s."""
ANSWER_CHARS = 500
"""Characters of the server's error response in our log."""
_REFERENCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,254}")


@dataclass(frozen=True)
class Server(FishOptions):
    """One fish-speech server, and the requests to it."""

    @property
    def url(self) -> str:
        """The URL of the speech endpoint."""
        return self.api_base.rstrip("/") + self.tts_path

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def body(self, text: str, options: SpeechOptions) -> dict[str, Any]:
        """Return the request body: with a recording to clone, with the id of a reference on the server, or with neither."""
        body: dict[str, Any] = {
            "text": text,
            "format": self.default_format,
            "streaming": self.default_format == "wav",  # the only format that a fish-speech server streams
            "normalize": self.default_normalize,
            "chunk_length": self.chunk_length,
            "latency": self.latency,
        }
        body |= {"temperature": self.temperature} if self.temperature is not None else {}
        body |= {"top_p": self.top_p} if self.top_p is not None else {}
        if options.reference:
            audio = base64.b64encode(wav_bytes(options.reference.audio)).decode()
            return body | {"references": [{"audio": audio, "text": options.reference.text or ""}], "use_memory_cache": "on"}
        voice = reference_id(options.voice) or self.default_reference_id
        return body | ({"reference_id": voice, "use_memory_cache": "on"} if voice else {})


class Busy(Exception):
    """A temporary failure of the server, after which a retry may succeed; `error` is raised if no retry does."""

    def __init__(self, error: SpeechError, wait_s: float = 0.0) -> None:
        """`wait_s`: minimum seconds before the next attempt, as requested by the server."""
        super().__init__(error.message)
        self.error = error
        self.wait_s = wait_s


class Fish:
    """The model that a fish-speech server has loaded."""

    def __init__(self, setup: Setup) -> None:
        """Store the setup; its folder is empty, and its settings are those of Server."""
        self._setup = setup
        self._server = Server.of(setup.settings)

    def load(self) -> None:
        """Open an HTTP client. Sends no request yet: the server may still be starting."""
        self._client = httpx.Client(headers=self._server.headers)
        weakref.finalize(self, self._client.close)  # a model is unloaded by dropping all references to it

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        """Yield the audio as the server sends it.

        Raises UnknownVoice (a reference id in another form) at the call; during iteration Overloaded, BackendUnavailable, BackendTimeout or
        BackendFailed for failures of the server.
        """
        if options.reference is None:
            reference_id(options.voice)
        return self._speak(self._server.body(text, options))

    def _speak(self, body: dict[str, Any]) -> Iterator[Audio]:
        deadline = time.monotonic() + self._server.timeout_seconds
        for attempt in range(self._server.max_retries + 1):
            sound = self._ask(body, deadline)
            try:
                first = next(sound, None)
            except Busy as busy:
                wait = max(busy.wait_s, FIRST_PAUSE_S * 2**attempt * random.uniform(0.8, 1.2))
                if attempt == self._server.max_retries or wait > LONGEST_PAUSE_S or time.monotonic() + wait > deadline:
                    raise busy.error from busy
                log.warning("%s, attempt %d: retrying in %.1f s", busy, attempt + 1, wait)
                time.sleep(wait)
                continue
            if first is None:
                raise BackendFailed("The fish-speech server returned no audio.")
            yield first
            yield from sound
            return

    def _ask(self, body: dict[str, Any], deadline: float) -> Iterator[Audio]:
        """Send one request and yield its audio. Raises Busy for a temporary failure before the first audio."""
        stream = WavStream(self._setup.model.sample_rate or 0)
        heard = False
        try:
            left = max(deadline - time.monotonic(), 0.1)
            timeout = httpx.Timeout(left, connect=min(CONNECT_S, left))
            with self._client.stream("POST", self._server.url, json=body, timeout=timeout) as answer:
                kind = _accept(answer)
                for number, chunk in enumerate(answer.iter_bytes(CHUNK_BYTES)):
                    if number == 0:
                        self._require_asked(kind, chunk)
                    for audio in stream.feed(chunk):
                        heard = True
                        yield audio
                    if time.monotonic() > deadline:
                        raise BackendTimeout("The fish-speech server did not finish in time (OPENAUDIO_TIMEOUT_SECONDS).")
            stream.close()
        except httpx.ConnectTimeout as late:
            raise Busy(BackendUnavailable("The fish-speech server does not respond.", retry_after_s=5)) from late
        except httpx.TimeoutException as late:
            raise BackendTimeout("The fish-speech server did not respond in time.") from late
        except httpx.TransportError as gone:
            if heard:
                raise BackendFailed("The fish-speech server disconnected in the middle of its response.") from gone
            raise Busy(BackendUnavailable("The fish-speech server cannot be reached: check OPENAUDIO_API_BASE.", retry_after_s=5)) from gone

    def _require_asked(self, kind: str, head: bytes) -> None:
        """Raise BackendFailed for audio in a format that was not requested: it would be played as noise."""
        found = format_of(kind.partition(";")[0].strip().lower(), head)
        if found not in (None, "wav"):
            raise BackendFailed(f"The fish-speech server sent `{found}` audio instead of `{self._server.default_format}`.")


def reference_id(voice: str) -> str:
    """Return the server's reference id in `default#id`; empty for `default`. Raises UnknownVoice for anything else."""
    known, mark, name = voice.partition("#")
    if known != DEFAULT_VOICE or (mark and not _REFERENCE_ID.fullmatch(name)):
        raise UnknownVoice(
            f"There is no voice `{voice[:100]}`. Voices are `{DEFAULT_VOICE}`, and `{DEFAULT_VOICE}#id` for a reference of the server.",
            param="voice",
        )
    return name


def _accept(answer: httpx.Response) -> str:
    """Return the media type of a response with audio. Raises Busy for a temporary failure, BackendFailed for any other."""
    kind: str = answer.headers.get("content-type", "")
    if answer.is_success and kind.startswith(("audio/", "application/octet-stream")):
        return kind
    status = answer.status_code
    log.warning("the fish-speech server returned %d, %s: %s", status, kind, next(answer.iter_text(ANSWER_CHARS), ""))
    if status == 429:
        wait_s = _seconds(answer.headers.get("retry-after", ""))
        raise Busy(Overloaded("The fish-speech server is overloaded.", retry_after_s=wait_s or 1), wait_s)
    if status in (502, 503, 504):
        raise Busy(BackendUnavailable("The fish-speech server cannot speak at the moment.", retry_after_s=5))
    if status >= 500 or status == 408:
        raise Busy(BackendFailed("The fish-speech server failed on this request."))
    if status in (401, 403):
        raise BackendFailed("The fish-speech server rejected OPENAUDIO_API_KEY.")
    if status in (200, 404, 405):
        raise BackendFailed("The server at OPENAUDIO_API_BASE has no speech endpoint at OPENAUDIO_TTS_PATH.")
    raise BackendFailed("The fish-speech server rejected the request.")


def _seconds(header: str) -> float:
    """Return the seconds of a Retry-After header; 0 for an empty header or a date."""
    return float(header) if header.isascii() and header.isdecimal() else 0.0


Runner = tts_service("fish", Fish, Resources(threads=4, cpu=0.5, memory="256Mi"))
