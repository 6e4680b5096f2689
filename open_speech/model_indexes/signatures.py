"""Ed25519 signatures of model indexes. A signature accepts later versions of an index without a new pin."""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from open_speech.model_indexes.values import IndexRefused

SUFFIX = ".sig"
"""Added to the URL or path of an index for that of its signature."""
MAX_BYTES = 1024
"""Maximum size of a file with a signature in bytes."""
_KEY_BYTES, _SIGNATURE_BYTES = 32, 64


def public_key(text: str) -> str:
    """Check an Ed25519 public key (32 bytes in base64) and return it in its canonical form. Raises IndexRefused."""
    raw = _decoded(text)
    if raw is None or len(raw) != _KEY_BYTES:
        raise IndexRefused("An Ed25519 public key has 32 bytes, in base64.", param="--key")
    return base64.b64encode(raw).decode()


def verify(content: bytes, signature: bytes, key: str) -> None:
    """Raise IndexRefused unless `signature` (64 bytes in base64) is that of the content by the key."""
    raw = _decoded(signature.decode("ascii", "replace"))
    if raw is None or len(raw) != _SIGNATURE_BYTES:
        raise IndexRefused("The signature of the index is not an Ed25519 signature: 64 bytes, in base64.")
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(raw, content)
    except InvalidSignature:
        raise IndexRefused(f"The signature of the index is not by the key {key}.") from None


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
