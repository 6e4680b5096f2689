"""The fields of a speech request for voice cloning and voice design -> VoiceOptions."""

from __future__ import annotations

import asyncio
import base64
import binascii
from pathlib import Path

from open_speech.api.openai.schemas import SpeechRequest
from open_speech.backends import VoiceReference
from open_speech.errors import InvalidValue, MissingField, UploadTooLarge
from open_speech.voices import SAMPLE_BYTES, VoiceOptions, sample_of

_FIELD = "reference_audio"


async def voice_options_of(body: SpeechRequest, file: bytes | Path | None = None) -> VoiceOptions:
    """Return the voice options of a request; `file` is a recording that was sent besides its fields.

    Raises InvalidValue, MissingField or UploadTooLarge naming the field.
    """
    reference = None
    if file is not None or body.reference_audio:
        source = (body.reference_audio or "") if file is None else file
        reference = await asyncio.to_thread(reference_of, source, body.reference_text)
    elif body.reference_text:
        raise MissingField("`reference_text` requires `reference_audio`.", param=_FIELD)
    return VoiceOptions(reference, body.voice_design or None, body.instructions or None, lenient=body.ignore_unsupported)


def reference_of(source: bytes | Path | str, text: str | None = None, field: str = _FIELD) -> VoiceReference:
    """Return the voice of a recording, which may be base64, bare or in a data URL. Blocking.

    Raises InvalidValue or UploadTooLarge naming `field`.
    """
    data = _bytes_of(source, field) if isinstance(source, str) else source
    return VoiceReference.of(sample_of(data, field), text or None)


def _bytes_of(encoded: str, field: str) -> bytes:
    data = encoded
    if encoded[:5].lower() == "data:":
        head, _, data = encoded.partition(",")
        if not head.lower().endswith(";base64"):
            raise InvalidValue(f"`{field}` must be base64 or a data URL: `data:audio/wav;base64,…`.", param=field)
    if len(data) * 3 // 4 > SAMPLE_BYTES + 2:
        raise UploadTooLarge(f"`{field}` is larger than the limit of {SAMPLE_BYTES} bytes.", param=field)
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidValue(f"`{field}` is not base64.", param=field) from None
