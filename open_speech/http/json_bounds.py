"""Limits on JSON bodies by the content that their endpoint accepts: text, audio in base64, or options only. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from open_speech.config import Settings
from open_speech.http import json_screen
from open_speech.voices import SAMPLE_BYTES

KIB, MIB = 1 << 10, 1 << 20
CHARACTER_BYTES = 12
"""Maximum bytes of one character in JSON: two escapes `\\uXXXX` outside the basic plane."""
OPTIONS_BYTES = 256 * KIB
"""All fields except the text and the audio: three texts of 4096 characters, names and numbers."""
AUDIO_TOKENS = 5000
"""Structure of a body with audio: a request has some thirty fields, and may list keywords."""
JOB_CHARACTERS = MIB
"""Maximum length of the text of a job."""
REFERENCES_BYTES = 14 * MIB
"""The recordings of voices in a list of base64: one of SAMPLE_BYTES, or several that are shorter."""
KNOWN_SPEAKERS_BYTES = 16 * MIB
"""Four data URLs of known speakers, each of at most 4 MiB as in a form."""
CONVERSATION_BYTES = 8 * MIB
"""A conversation: more text than the longest context of a language model, or some images for a model of another server."""


@dataclass(frozen=True, slots=True)
class AudioField:
    """A string of base64 that is decoded while the body arrives."""

    path: tuple[str, ...]
    max_bytes: int
    """Maximum size of the decoded audio."""

    @property
    def name(self) -> str:
        """The name of the field in errors, such as `input_audio.data`."""
        return ".".join(self.path)

    @property
    def json_bytes(self) -> int:
        """Maximum size in a body: base64 with one character in twenty escaped as six, as .NET writes `+`, and the head of a data URL."""
        return self.max_bytes * 4 // 3 * 5 // 4 + KIB


@dataclass(frozen=True, slots=True)
class JsonBounds:
    """The limits on the JSON body of one endpoint."""

    text_bytes: int = MIB
    """The body without its audio."""
    audio: AudioField | None = None
    structure: json_screen.Bounds = json_screen.USUAL
    most_bytes: int | None = None
    """A lower limit on the whole body."""

    strict: bool = False
    """Reject NaN and the infinities, if the body is stored as JSON. Other endpoints return an error that names the field."""

    @property
    def body_bytes(self) -> int:
        """Maximum size of the whole body."""
        whole = self.text_bytes + (self.audio.json_bytes if self.audio else 0)
        return whole if self.most_bytes is None else min(whole, self.most_bytes)


OTHER = JsonBounds()
"""Limits for an endpoint that accepts options only."""


def bounds_by_path(settings: Settings) -> Mapping[str, JsonBounds]:
    """Return the limits of the endpoints that accept larger JSON than OTHER, by path."""
    upload_bytes = settings.os_max_upload_mb * MIB
    few = json_screen.Bounds(tokens=AUDIO_TOKENS)
    voice = AudioField(("reference_audio",), SAMPLE_BYTES)
    text_bytes = settings.tts_max_input_length * CHARACTER_BYTES + OPTIONS_BYTES
    recording = AudioField(("input_audio", "data"), upload_bytes)
    speech = JsonBounds(text_bytes, voice, few)
    references = JsonBounds(text_bytes + REFERENCES_BYTES, structure=few)
    job = JsonBounds(JOB_CHARACTERS * CHARACTER_BYTES + OPTIONS_BYTES, voice, few, strict=True)
    media = JsonBounds(KNOWN_SPEAKERS_BYTES, recording, few, most_bytes=upload_bytes)
    transcription = (
        "/v1/audio/transcriptions", "/v1/audio/transcriptions/verbose", "/v1/audio/translations", "/v1/speech-to-text",
    )  # fmt: skip
    subtitles = ("/asr", "/detect-language", "/bazarr/asr", "/bazarr/detect-language")
    spoken = {"/v1/audio/speech": speech, "/v1/text-to-speech": references, "/v1/audio/jobs": job}
    written = dict.fromkeys(("/v1/chat/completions", "/v1/completions"), JsonBounds(CONVERSATION_BYTES))
    return {**spoken, **written, **dict.fromkeys((*transcription, *subtitles), media)}
