"""The text of an ephemeral key: `ek_` and base64url of a signed record that contains the session it is for. Pure.

The record is a head of fixed length, the session as compressed JSON, and the signature of both. It is not encrypted: the client that has
the key can read it, and receives the same session in its first event anyway.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from open_speech.errors import TextTooLong
from open_speech.security.signing import SIGNATURE_BYTES, SigningKeys

PREFIX = "ek_"
VERSION = 1
KEY_CHARS = 7500
"""Maximum characters of a key. A header may have 8192 bytes, at this server for WebSockets and by default at nginx. A browser sends the key
in the header `Sec-WebSocket-Protocol`, with other subprotocols before and after it."""
SESSION_CHARS = 65_536
"""Maximum characters of the session as JSON, however well it can be compressed: it is parsed again for each request with the key."""
NONCE_BYTES = 12
TAG_BYTES = 16
_HEAD = struct.Struct(f">BQ{NONCE_BYTES}s{TAG_BYTES}s")


@dataclass(frozen=True, slots=True)
class Record:
    """The content of an ephemeral key."""

    expires_at: int
    """Seconds since 1970."""
    nonce: bytes
    """Random bytes, NONCE_BYTES long, that make each key unique."""
    parent: bytes
    """Identifies the API key that created it, without revealing anything about it: TAG_BYTES long."""
    body: Mapping[str, Any]
    """The session that it is for, or its name where the server keeps it."""


def encoded(record: Record, keys: SigningKeys) -> str:
    """Return the text of a key. Raises TextTooLong, with the field that is longest, if its session is too long."""
    text = json.dumps(record.body, ensure_ascii=False, separators=(",", ":"))
    if len(text) > SESSION_CHARS:
        raise _too_long(record.body, f"It has {len(text)} characters as JSON; at most {SESSION_CHARS} are accepted.")
    head = _HEAD.pack(VERSION, record.expires_at, record.nonce, record.parent)
    data = head + zlib.compress(text.encode(errors="surrogatepass"), 9)
    key = PREFIX + base64.urlsafe_b64encode(data + keys.sign(data)).decode().rstrip("=")
    if len(key) > KEY_CHARS:
        raise _too_long(record.body, f"The key would have {len(key)} characters; at most {KEY_CHARS} are accepted.")
    return key


def decoded(key: str, keys: SigningKeys) -> Record | None:
    """Return the content of a key that one of these keys has signed, expired or not; None for any other text."""
    signed = _bytes_of(key)
    if signed is None or len(signed) <= _HEAD.size + SIGNATURE_BYTES:
        return None
    data, signature = signed[:-SIGNATURE_BYTES], signed[-SIGNATURE_BYTES:]
    # Nothing is parsed before it is known who wrote it.
    if not keys.verify(data, signature) or data[0] != VERSION:
        return None
    _, expires_at, nonce, parent = _HEAD.unpack_from(data)
    body = json.loads(zlib.decompress(data[_HEAD.size :]).decode(errors="surrogatepass"))
    return Record(expires_at, nonce, parent, body)


def is_ephemeral(key: str) -> bool:
    """Return whether a key has the form of an ephemeral key, valid or not."""
    return key.startswith(PREFIX)


def _bytes_of(key: str) -> bytes | None:
    """Decode a key; None for text in another form. Each key has one spelling: decoders ignore spare bits and other alphabets."""
    if not is_ephemeral(key) or len(key) > KEY_CHARS:
        return None
    text = key.removeprefix(PREFIX)
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return data if base64.urlsafe_b64encode(data).decode().rstrip("=") == text else None


def _too_long(body: Mapping[str, Any], why: str) -> TextTooLong:
    session: Mapping[str, Any] = body.get("session", {})
    name = max(session, key=lambda field: len(json.dumps(session[field])), default="instructions")
    hint = f"Shorten `session.{name}`, or send it with `session.update` after the connection is open."
    return TextTooLong(f"The session is too long for an ephemeral key, which contains it. {why} {hint}", param=f"session.{name}")
