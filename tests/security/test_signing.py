from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.security.signing import MAX_KEYS, MIN_CHARS, SigningKeys

OLD, NEW = "o" * MIN_CHARS, "n" * MIN_CHARS


def read(setting: str) -> SigningKeys:
    keys = SigningKeys.read(setting)
    assert keys is not None
    return keys


def test_a_signature_is_hmac_sha256_of_the_first_key() -> None:
    assert read(f"{NEW}, {OLD}").sign(b"hello") == hmac.new(NEW.encode(), b"hello", hashlib.sha256).digest()


def test_the_first_key_signs_and_all_verify() -> None:
    old, both, new = read(OLD), read(f"{NEW},{OLD}"), read(NEW)
    assert both.verify(b"hello", old.sign(b"hello"))
    assert both.verify(b"hello", new.sign(b"hello"))
    assert new.verify(b"hello", both.sign(b"hello"))
    assert not old.verify(b"hello", both.sign(b"hello"))


@given(data=st.binary(max_size=64), at=st.integers(0, 31), bit=st.integers(0, 7))
def test_a_signature_with_one_bit_changed_is_refused(data: bytes, at: int, bit: int) -> None:
    keys = read(OLD)
    signature = bytearray(keys.sign(data))
    assert keys.verify(data, bytes(signature))
    signature[at] ^= 1 << bit
    assert not keys.verify(data, bytes(signature))


def test_a_signature_for_one_purpose_is_not_one_for_another() -> None:
    keys = read(OLD)
    assert not keys.for_purpose("a").verify(b"hello", keys.for_purpose("b").sign(b"hello"))
    assert not keys.verify(b"hello", keys.for_purpose("a").sign(b"hello"))


def test_a_random_key_is_known_to_nobody_else() -> None:
    assert not SigningKeys.random().verify(b"hello", SigningKeys.random().sign(b"hello"))


def test_no_setting_is_no_key() -> None:
    assert SigningKeys.read(" ") is None


@pytest.mark.parametrize(
    "setting",
    ["tooshort", f"{OLD},", f"{OLD},{'x' * (MIN_CHARS - 1)}", ",".join([OLD] * (MAX_KEYS + 1))],
    ids=["short", "comma", "second", "many"],
)
def test_a_key_that_could_be_guessed_is_refused_and_not_shown(setting: str) -> None:
    with pytest.raises(ValueError, match="signing key") as refused:
        SigningKeys.read(setting)
    assert not any(key in str(refused.value) for key in setting.split(",") if key)


def test_keys_are_not_shown() -> None:
    assert OLD not in repr(read(OLD))
