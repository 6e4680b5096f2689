"""Settings: several front processes behind one address."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator

from open_speech.security.signing import SigningKeys

_URLS = ("redis://", "rediss://", "valkey://", "valkeys://", "unix://")


class ReplicaSettings(BaseModel):
    """What several front processes behind one address have in common."""

    os_signing_keys: str = Field(
        "",
        repr=False,
        description="Keys that sign ephemeral keys, each of at least 32 characters, separated by commas. The first one signs, and all are "
        "accepted, so a key can be replaced without downtime. Set the same keys on every server behind one address. Empty: a random key, "
        "so that an ephemeral key is valid only at the server that created it, until that server restarts.",
    )

    os_redis_url: str = Field(
        "",
        repr=False,
        description="Redis or Valkey server that stores the rate limits (`OS_RATE_LIMIT`), so that several servers share them: "
        "`redis://:password@host:6379/0`, `rediss://…` with TLS, or `unix:///path`. Requires the extra `redis`. Empty: in memory.",
    )
    os_redis_timeout_s: float = Field(
        1.0, gt=0, le=30, description="Maximum duration of a call to `OS_REDIS_URL`, in seconds. A request is then answered 503."
    )

    @field_validator("os_signing_keys")
    @classmethod
    def _validate_signing_keys(cls, value: str) -> str:
        SigningKeys.read(value)
        return value

    @field_validator("os_redis_url")
    @classmethod
    def _validate_redis_url(cls, value: str) -> str:
        if value and not value.startswith(_URLS):
            raise ValueError(f"the URL must begin with {', '.join(_URLS[:-1])} or {_URLS[-1]}")
        return value
