"""The decision whether the content of an index is accepted: by a pin, by a signature, or because it has not changed. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from open_speech.model_indexes.signatures import verify
from open_speech.model_indexes.values import AcceptedIndex, IndexRefused, ModelIndex


@dataclass(frozen=True, slots=True)
class Offer:
    """What the operator wants to add, and with which proof."""

    source: str
    content: bytes
    sha256: str = ""
    """The pin; empty if there is none."""
    key: str = ""
    """The public key, in base64; empty if there is none."""
    allow_private: bool = False


def require_own_name(index: ModelIndex, source: str, earlier: Iterable[AcceptedIndex]) -> None:
    """Raise IndexRefused if another source has an index of this name, or this source had an index of another name."""
    for one in earlier:
        if one.name == index.name and one.source != source:
            raise IndexRefused(f"`{index.name}` is the name of the index from {one.source}: remove that one first.")
        if one.source == source and one.name != index.name:
            raise IndexRefused(f"The index was named `{one.name}` and is now named `{index.name}`: remove `{one.name}` first.")


def accept(offer: Offer, index: ModelIndex, before: AcceptedIndex | None, signature: Callable[[], bytes]) -> AcceptedIndex:
    """Return the record of an accepted index. `before` is that of its earlier version, and `signature` retrieves the signature if needed.

    Raises IndexRefused if the content has no proof, differs from the pin or from what was accepted before, has an invalid signature, or
    is an older version of a signed index.
    """
    digest = hashlib.sha256(offer.content).hexdigest()
    key = offer.key or (before.key if before else "")
    if offer.sha256 and offer.sha256 != digest:
        raise IndexRefused(f"The SHA-256 of the index is {digest}, and not {offer.sha256}.", param="--sha256")
    same = before is not None and before.sha256 == digest
    if offer.key or (key and not offer.sha256 and not same):
        verify(offer.content, signature(), key)
    elif not offer.sha256 and not same:
        changed = f"has changed since it was accepted with the SHA-256 {before.sha256}" if before else "has no pin"
        how = f"open-speech models add '{offer.source}#sha256={digest}'" + (" --allow-private" if offer.allow_private else "")
        raise IndexRefused(f"The index {changed}. Its SHA-256 is now {digest}. If you trust it: {how}")
    if before is not None and not same and not offer.sha256 and index.revision <= before.revision:
        raise IndexRefused(f"Revision {before.revision} was accepted before: revision {index.revision} with other content is not newer.")
    return AcceptedIndex(index.name, offer.source, digest, index.revision, key, offer.allow_private)
