"""When the content of an index is accepted: pins, signatures, changes, and older versions."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from open_speech.model_indexes.acceptance import Offer, accept, require_own_name
from open_speech.model_indexes.signatures import public_key
from open_speech.model_indexes.values import AcceptedIndex, IndexRefused, ModelIndex

URL = "https://acme.example/index.toml"
CONTENT, LATER = b"first", b"second"
PIN, LATER_PIN = (hashlib.sha256(content).hexdigest() for content in (CONTENT, LATER))
INDEX = ModelIndex("acme", 3, ())
BEFORE = AcceptedIndex("acme", URL, PIN, 3)
SIGNER, OTHER = Ed25519PrivateKey.from_private_bytes(b"a" * 32), Ed25519PrivateKey.from_private_bytes(b"b" * 32)
KEY, OTHER_KEY = (base64.b64encode(key.public_key().public_bytes_raw()).decode() for key in (SIGNER, OTHER))


def no_signature() -> bytes:
    raise AssertionError("no signature is needed")


def signed(content: bytes, signer: Ed25519PrivateKey = SIGNER) -> bytes:
    return base64.b64encode(signer.sign(content)) + b"\n"


def test_a_pin_accepts_its_content_and_no_other() -> None:
    assert accept(Offer(URL, CONTENT, PIN), INDEX, None, no_signature) == BEFORE
    with pytest.raises(IndexRefused, match=f"is {LATER_PIN}, and not {PIN}"):
        accept(Offer(URL, LATER, PIN), INDEX, None, no_signature)


def test_without_a_pin_the_error_has_the_command_that_accepts() -> None:
    with pytest.raises(IndexRefused, match="has no pin") as refused:
        accept(Offer(URL, CONTENT), INDEX, None, no_signature)
    assert f"open-speech models add '{URL}#sha256={PIN}'" in refused.value.message


def test_the_accepted_content_needs_no_pin_again_and_changed_content_does() -> None:
    assert accept(Offer(URL, CONTENT), INDEX, BEFORE, no_signature) == BEFORE
    with pytest.raises(IndexRefused, match=f"has changed since it was accepted with the SHA-256 {PIN}"):
        accept(Offer(URL, LATER), replace(INDEX, revision=4), BEFORE, no_signature)
    assert accept(Offer(URL, LATER, LATER_PIN), INDEX, BEFORE, no_signature) == replace(BEFORE, sha256=LATER_PIN)


def test_a_signature_accepts_the_first_and_later_versions() -> None:
    first = accept(Offer(URL, CONTENT, key=KEY), INDEX, None, lambda: signed(CONTENT))
    assert first == replace(BEFORE, key=KEY)
    later = accept(Offer(URL, LATER), replace(INDEX, revision=4), first, lambda: signed(LATER))
    assert later == AcceptedIndex("acme", URL, LATER_PIN, 4, KEY)


@pytest.mark.parametrize("revision", [2, 3])
def test_a_signed_older_version_is_refused(revision: int) -> None:
    before = replace(BEFORE, key=KEY)
    with pytest.raises(IndexRefused, match=f"Revision 3 was accepted before: revision {revision} with other content is not newer"):
        accept(Offer(URL, LATER), replace(INDEX, revision=revision), before, lambda: signed(LATER))
    # The operator may go back, by a pin.
    assert accept(Offer(URL, LATER, LATER_PIN), replace(INDEX, revision=revision), before, no_signature).revision == revision


@pytest.mark.parametrize("signature", [signed(CONTENT), signed(LATER, OTHER)])
def test_a_signature_of_other_content_or_by_another_key_is_refused(signature: bytes) -> None:
    with pytest.raises(IndexRefused, match="is not by the key"):
        accept(Offer(URL, LATER), replace(INDEX, revision=4), replace(BEFORE, key=KEY), lambda: signature)


@pytest.mark.parametrize("signature", [b"", b"x" * 88, base64.b64encode(b"short"), b"\xff"])
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(IndexRefused, match="not an Ed25519 signature"):
        accept(Offer(URL, CONTENT, key=KEY), INDEX, None, lambda: signature)


def test_a_new_key_is_only_taken_from_the_operator_and_is_verified_beside_a_pin() -> None:
    before = replace(BEFORE, key=KEY)
    new = accept(Offer(URL, LATER, key=OTHER_KEY), replace(INDEX, revision=4), before, lambda: signed(LATER, OTHER))
    assert new.key == OTHER_KEY
    with pytest.raises(IndexRefused, match="is not by the key"):
        accept(Offer(URL, CONTENT, PIN, KEY), INDEX, None, lambda: signed(CONTENT, OTHER))


@pytest.mark.parametrize("text", ["", "abc", "ä", base64.b64encode(b"x" * 31).decode()])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(IndexRefused, match="32 bytes") as refused:
        public_key(text)
    assert refused.value.param == "--key"
    assert public_key(f" {KEY}\n") == KEY


def test_a_name_belongs_to_one_source() -> None:
    require_own_name(INDEX, URL, [BEFORE])
    with pytest.raises(IndexRefused, match=f"`acme` is the name of the index from {URL}"):
        require_own_name(INDEX, "https://evil.example/index.toml", [BEFORE])
    with pytest.raises(IndexRefused, match="was named `acme` and is now named `better`"):
        require_own_name(replace(INDEX, name="better"), URL, [BEFORE])
