"""Webhooks: messages signed as described at https://www.standardwebhooks.com."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

import aiohttp
from yarl import URL

from open_speech import __version__
from open_speech.api.jobs.ssrf_guard import Guard
from open_speech.config import SettingsError
from open_speech.errors import InvalidValue

TIMEOUT_S = 15.0
"""Timeout of a whole attempt in seconds: name lookup, connection, request and response."""
GONE = 410
"""The status with which a receiver rejects all further messages."""
_PREFIX = "whsec_"


class Undelivered(Exception):
    """A message was not delivered; `again` indicates whether to retry."""

    def __init__(self, note: str, *, again: bool = True) -> None:
        super().__init__(note)
        self.note = note
        self.again = again


def key_of(secret: str) -> bytes:
    """Decode the secret that signs messages: base64 after the prefix `whsec_`, or any text. Raises SettingsError."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SettingsError("OS_WEBHOOK_SECRET: what follows `whsec_` is not base64.") from None


def signature(key: bytes, message: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a message over its id, its time in Unix seconds and its body."""
    return "v1," + base64.b64encode(hmac.digest(key, f"{message}.{timestamp}.".encode() + body, hashlib.sha256)).decode()


class WebhookSender:
    """Sends webhooks."""

    def __init__(self, guard: Guard, key: bytes, *, timeout_s: float = TIMEOUT_S) -> None:
        """Messages are signed with `key`; with an empty key they are not signed."""
        self._guard = guard
        self._key = key
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def send(self, url: str, message: str, content: dict[str, Any], now: float) -> None:
        """Deliver a message; `message` is its id, which is the same for each attempt. Raises Undelivered."""
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"open-speech/{__version__}",
            "webhook-id": message,
            "webhook-timestamp": str(int(now)),
        }
        if self._key:
            headers["webhook-signature"] = signature(self._key, message, int(now), body)
        try:
            # The URL was checked before, but the setting may have changed; and a host that is an IP address is not resolved below.
            status = await self._posted(await self._guard.check(url), body, headers)
        except InvalidValue as refused:
            raise Undelivered(refused.message, again=False) from None
        except TimeoutError:
            raise Undelivered("no response in time") from None
        except (aiohttp.ClientError, OSError) as failure:
            raise Undelivered(type(failure).__name__) from None
        if not 200 <= status < 300:
            raise Undelivered(f"status {status}", again=status != GONE)

    async def _posted(self, url: URL, body: bytes, headers: dict[str, str]) -> int:
        """Send the request and return the status. The response body is not read, and no redirect is followed."""
        connector = aiohttp.TCPConnector(resolver=self._guard, use_dns_cache=False, force_close=True)
        jar = aiohttp.DummyCookieJar()
        async with (
            aiohttp.ClientSession(connector=connector, timeout=self._timeout, cookie_jar=jar, trust_env=False) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            return response.status
