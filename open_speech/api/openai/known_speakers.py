"""Known speakers of a transcription request: data URLs -> named audio."""

from __future__ import annotations

import asyncio
import base64
import binascii

from open_speech.api.openai.transcription_request import SpeakerFields
from open_speech.audio import Audio
from open_speech.backends import STT_RATE, DiarizeOptions
from open_speech.codecs import decode
from open_speech.errors import InvalidAudio, InvalidRequest, InvalidValue

SHORTEST_S, LONGEST_S = 2.0, 10.0
"""Allowed duration of a reference recording in seconds, as documented by OpenAI."""
_SLACK_S = 0.2
"""Codecs add silence at both ends: a file of ten seconds may decode to a little more."""
_NAME_CHARS = 100
_FIELD = "known_speaker_references"


async def diarization(body: SpeakerFields) -> DiarizeOptions | None:
    """Return the diarization options of a request; None if it does not request diarization.

    Raises InvalidValue naming `known_speaker_names`, `known_speaker_references` or `max_speakers`.
    """
    if not body.diarizes:
        return None
    if body.channel_mode != "mix" and body.known_speaker_names:
        raise InvalidValue(
            "`known_speaker_names` requires `channels=mix`: otherwise each channel is one speaker.",
            param="known_speaker_names",
        )
    if body.channel_mode == "separate":
        return None
    if body.min_speakers and body.max_speakers and body.min_speakers > body.max_speakers:
        raise InvalidValue("`max_speakers` must not be less than `min_speakers`.", param="max_speakers")
    names = [name.strip() for name in body.known_speaker_names]
    if len(set(names)) < len(names) or not all(0 < len(name) <= _NAME_CHARS for name in names):
        raise InvalidValue(f"`known_speaker_names` must be unique and have 1 to {_NAME_CHARS} characters.", param="known_speaker_names")
    if len(names) != len(body.known_speaker_references):
        raise InvalidValue("`known_speaker_references` must contain one reference for each of `known_speaker_names`.", param=_FIELD)
    voices = [await asyncio.to_thread(voice_of, url) for url in body.known_speaker_references]
    return DiarizeOptions(body.min_speakers, body.max_speakers, tuple(zip(names, voices, strict=True)))


def voice_of(url: str) -> Audio:
    """Decode a base64 data URL to audio at STT_RATE. Blocking.

    Raises InvalidValue for anything but such a URL with audio of SHORTEST_S to LONGEST_S seconds.
    """
    head, comma, data = url.partition(",")
    if not comma or not head.lower().startswith("data:") or not head.lower().endswith(";base64"):
        raise InvalidValue("A known speaker's reference must be a data URL: `data:audio/wav;base64,…`.", param=_FIELD)
    try:
        audio = decode(base64.b64decode(data, validate=True), STT_RATE, max_seconds=LONGEST_S + _SLACK_S)
    except (binascii.Error, ValueError):
        raise InvalidValue("A known speaker's reference is not base64.", param=_FIELD) from None
    except InvalidAudio:
        raise InvalidValue("A known speaker's reference is not audio that can be decoded.", param=_FIELD) from None
    except InvalidRequest:
        raise _wrong_length() from None
    if audio.seconds < SHORTEST_S - _SLACK_S:
        raise _wrong_length()
    return audio


def _wrong_length() -> InvalidValue:
    return InvalidValue(f"A known speaker's reference must be {SHORTEST_S:g} to {LONGEST_S:g} seconds long.", param=_FIELD)
