from __future__ import annotations

import base64
import string
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.api.realtime import kept_sessions
from open_speech.api.realtime.ephemeral_format import (
    KEY_CHARS,
    NONCE_BYTES,
    SESSION_CHARS,
    TAG_BYTES,
    Record,
    decoded,
    encoded,
    is_ephemeral,
)
from open_speech.api.realtime.secrets import Grant, Secrets
from open_speech.errors import TextTooLong
from open_speech.security.api_keys import KeyRing
from open_speech.security.signing import SigningKeys

ROOT = Path(__file__).parents[3]
OLD, NEW, OTHER = (SigningKeys((text.encode() * 16,)) for text in ("old", "new", "other"))
NEW_AND_OLD = SigningKeys(NEW.keys + OLD.keys)
RING = KeyRing.read("ann:sesame,bob:open")
ANN, BOB = RING.keys
NO_KEYS = KeyRing()
GRANT = Grant("realtime", "gpt-realtime", {"instructions": "Be short. Grüße 🙂"})
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def made(signing: SigningKeys = OLD, clock: Clock | None = None, ring: KeyRing = NO_KEYS, grant: Grant = GRANT) -> str:
    return Secrets(signing, ring, clock=clock or Clock()).issue(grant, 60)[0]


def found(key: str, signing: SigningKeys = OLD, ring: KeyRing = NO_KEYS) -> Grant | None:
    """What a server that never saw the key makes of it."""
    return Secrets(signing, ring, clock=Clock()).find([key])


def test_a_key_gives_its_session_until_it_expires() -> None:
    clock = Clock()
    secrets = Secrets(OLD, NO_KEYS, clock=clock)
    key, expires_at = secrets.issue(GRANT, 60)
    assert is_ephemeral(key)
    assert expires_at == 1060
    clock.now = 1059.9
    assert secrets.find(["wrong", key]) == GRANT
    clock.now = 1060.0
    assert secrets.find([key]) is None
    assert not secrets.opens("/v1/realtime", key)


@given(
    kind=st.sampled_from(["realtime", "transcription", "translation"]),
    model=st.text(),
    session=st.dictionaries(st.text(), JSON, max_size=5),
)
def test_another_server_with_the_same_keys_reads_the_same_session(kind: str, model: str, session: dict[str, object]) -> None:
    grant = Grant(kind, model, session, ANN, is_local_only=True)  # type: ignore[arg-type]
    assert found(made(ring=RING, grant=grant), ring=RING) == grant


def test_a_key_opens_realtime_and_nothing_else() -> None:
    secrets = Secrets(OLD, NO_KEYS)
    key, _ = secrets.issue(GRANT)
    assert secrets.opens("/v1/realtime", key)
    for path in ("/v1/realtime/client_secrets", "/v1/audio/speech", "/v1/models", "/v1/realtime/"):
        assert not secrets.opens(path, key)
    translation, _ = secrets.issue(Grant("translation", "", {}))
    assert secrets.opens("/v1/realtime/translations", translation)
    assert not secrets.opens("/v1/realtime", translation)
    assert not secrets.opens("/v1/realtime/translations", key)
    assert not secrets.opens("/v1/realtime", key + "x")
    assert not secrets.opens("/v1/realtime", "ek_\xff")


def test_no_two_keys_are_alike() -> None:
    secrets = Secrets(OLD, NO_KEYS)
    assert len({secrets.issue(GRANT)[0] for _ in range(100)}) == 100


KEY = made()


@given(at=st.integers(0, len(KEY) - 1), char=st.sampled_from(string.printable + "é\udc80"))
def test_a_key_with_one_character_changed_is_refused(at: int, char: str) -> None:
    changed = KEY[:at] + char + KEY[at + 1 :]
    assert (found(changed) == GRANT) is (changed == KEY)
    assert found(changed) is None or changed == KEY


@given(data=st.data())
def test_a_record_with_one_bit_changed_is_refused(data: st.DataObject) -> None:
    record = bytearray(base64.urlsafe_b64decode(KEY.removeprefix("ek_") + "=="))
    bit = data.draw(st.integers(0, 8 * len(record) - 1))
    record[bit // 8] ^= 1 << bit % 8
    assert found("ek_" + base64.urlsafe_b64encode(record).decode().rstrip("=")) is None


@given(text=st.text() | st.text(string.ascii_letters + string.digits + "-_=", max_size=400), cut=st.integers(0, len(KEY) - 1))
def test_text_that_is_no_key_is_refused(text: str, cut: int) -> None:
    for key in (text, f"ek_{text}", KEY[:cut], KEY + text[:1] + "=", "ek_" + "A" * KEY_CHARS):
        assert found(key) is None


@pytest.mark.parametrize(
    "spelling", [lambda key: key + "=", lambda key: key + "\n", lambda key: key.replace("-", "+").replace("_", "/"), str.upper]
)
def test_a_key_has_one_spelling(spelling: object) -> None:
    assert callable(spelling)
    keys = [made() for _ in range(20)]
    assert not any(found(spelling(key)) for key in keys if spelling(key) != key)


def test_keys_can_be_rotated() -> None:
    old, new = made(OLD), made(NEW_AND_OLD)
    assert found(old, NEW_AND_OLD) == GRANT
    assert found(new, NEW_AND_OLD) == GRANT
    assert found(new, NEW) == GRANT
    assert found(old, NEW) is None
    assert found(old, OTHER) is None
    kept = made(OLD, ring=RING, grant=replace(GRANT, parent=BOB))
    assert found(kept, NEW_AND_OLD, RING) == replace(GRANT, parent=BOB)


def test_a_key_of_an_unknown_version_is_refused() -> None:
    keys = OLD.for_purpose("open-speech ephemeral key")
    known = base64.urlsafe_b64decode(KEY.removeprefix("ek_") + "==")[:-32]
    for version in (0, 2, 255):
        data = bytes([version]) + known[1:]
        text = "ek_" + base64.urlsafe_b64encode(data + keys.sign(data)).decode().rstrip("=")
        assert (decoded(text, keys), found(text)) == (None, None)
    assert struct.unpack_from(">BQ", known) == (1, 1060)


def test_a_key_ends_with_the_api_key_that_created_it() -> None:
    key = made(ring=RING, grant=replace(GRANT, parent=BOB))
    assert found(key, ring=RING) == replace(GRANT, parent=BOB)
    assert found(key, ring=KeyRing.read("new:other,bob:open")) == replace(GRANT, parent=BOB)  # its place is no part of it
    assert found(key, ring=KeyRing.read("ann:sesame")) is None
    assert found(key, ring=KeyRing.read("ann:sesame,bob:another")) is None  # the name alone is not enough
    assert found(key) is None


def test_a_server_without_api_keys_makes_no_keys_for_one_that_has_them() -> None:
    assert found(made(), ring=RING) is None


def test_a_key_does_not_reveal_its_api_key() -> None:
    """Whoever has an ephemeral key must not be able to try out what the API key is."""
    record = base64.urlsafe_b64decode(made(ring=RING, grant=replace(GRANT, parent=BOB)).removeprefix("ek_") + "==")
    tag = record[9 + NONCE_BYTES :][:TAG_BYTES]
    assert tag not in (BOB.digest[:TAG_BYTES], BOB.digest[-TAG_BYTES:])
    assert tag == OLD.for_purpose("open-speech parent of an ephemeral key").sign(BOB.digest)[:TAG_BYTES]
    assert b"bob" not in record


NOISE = base64.b85encode(b"".join(OLD.sign(n.to_bytes(2, "big")) for n in range(200))).decode()
"""8000 characters that cannot be compressed to less than four fifths."""


def test_instructions_as_long_as_a_page_fit_into_a_key() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")[:10_000]
    grant = Grant("realtime", "gpt-realtime", {"instructions": text})
    assert found(made(grant=grant)) == grant


@pytest.mark.parametrize(
    ("session", "param"),
    [({"voice": "x", "tools": [{"name": NOISE}], "instructions": "short"}, "session.tools"),
     ({"instructions": NOISE, "voice": "x"}, "session.instructions"),
     ({"instructions": "a" * SESSION_CHARS}, "session.instructions")],
    ids=["tools", "instructions", "compressible"],
)  # fmt: skip
def test_a_session_that_is_too_long_is_refused_and_its_longest_field_is_named(session: dict[str, object], param: str) -> None:
    with pytest.raises(TextTooLong, match=r"session\.update") as refused:
        made(grant=Grant("realtime", "m", session))
    assert refused.value.param == param


@given(length=st.integers(0, 8000))
def test_a_key_that_is_accepted_is_never_longer_than_the_limit(length: int) -> None:
    record = Record(1060, bytes(NONCE_BYTES), bytes(TAG_BYTES), {"session": {"instructions": NOISE[:length]}})
    try:
        key = encoded(record, OLD)
    except TextTooLong as refused:
        assert refused.param == "session.instructions"
    else:
        assert len(key) <= KEY_CHARS
        assert decoded(key, OLD) == record


LONG = Grant("realtime", "gpt-realtime", {"instructions": NOISE})


def test_a_server_with_a_random_signing_key_keeps_a_long_session_until_its_key_expires() -> None:
    clock = Clock()
    secrets = Secrets(None, NO_KEYS, clock=clock)
    key, expires_at = secrets.issue(LONG, 60)
    assert len(key) < 300
    assert secrets.find([key]) == LONG
    assert Secrets(None, NO_KEYS, clock=clock).find([key]) is None
    clock.now = expires_at
    assert secrets.find([key]) is None


def test_without_room_for_a_long_session_it_is_refused_and_a_short_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_sessions, "MOST", 1)
    secrets = Secrets(None, NO_KEYS, clock=Clock())
    key, _ = secrets.issue(LONG, 60)
    with pytest.raises(TextTooLong) as refused:
        secrets.issue(LONG, 60)
    assert refused.value.param == "session.instructions"
    short, _ = secrets.issue(GRANT, 60)
    assert [secrets.find([key]), secrets.find([short])] == [LONG, GRANT]
