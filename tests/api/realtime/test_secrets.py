from __future__ import annotations

from dataclasses import replace

import pytest

from open_speech.api.realtime.secrets import Grant, Secrets, is_ephemeral
from open_speech.errors import Overloaded

GRANT = Grant("realtime", "gpt-realtime", {"instructions": "Be short."})


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_key_gives_its_session_until_it_expires() -> None:
    clock = Clock()
    secrets = Secrets(clock=clock)
    key, expires_at = secrets.issue(GRANT, 60)
    assert is_ephemeral(key)
    assert expires_at == 1060
    assert secrets.find(["wrong", key]) == GRANT
    clock.now = 1060.0
    assert secrets.find([key]) is None


def test_a_key_opens_realtime_and_nothing_else() -> None:
    secrets = Secrets()
    key, _ = secrets.issue(GRANT)
    assert secrets.opens("/v1/realtime", key)
    for path in ("/v1/realtime/client_secrets", "/v1/audio/speech", "/v1/models", "/v1/realtime/"):
        assert not secrets.opens(path, key)
    assert not secrets.opens("/v1/realtime", key + "x")
    assert not secrets.opens("/v1/realtime", "ek_\xff")


def test_their_number_is_bounded_and_those_that_expired_do_not_count() -> None:
    clock = Clock()
    secrets = Secrets(limit=2, clock=clock)
    for _ in range(2):
        secrets.issue(GRANT, 10)
    with pytest.raises(Overloaded):
        secrets.issue(GRANT, 10)
    clock.now += 10
    assert secrets.find([secrets.issue(GRANT, 10)[0]]) == GRANT


def test_no_two_keys_are_alike() -> None:
    secrets = Secrets()
    assert len({secrets.issue(GRANT)[0] for _ in range(100)}) == 100


def test_one_maker_has_no_more_than_its_share() -> None:
    clock = Clock()
    secrets = Secrets(limit=3, each=2, clock=clock)
    ann, bob = replace(GRANT, holder="ann"), replace(GRANT, holder="bob")
    for _ in range(2):
        secrets.issue(ann, 10)
    with pytest.raises(Overloaded, match="OS_KEY_SHARE"):
        secrets.issue(ann, 10)
    secrets.issue(bob, 10)
    clock.now += 10
    secrets.issue(ann, 10)
