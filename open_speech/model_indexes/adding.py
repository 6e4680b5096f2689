"""The addition of one index: retrieve, parse, validate, decide, store. Blocking."""

from __future__ import annotations

import re
from dataclasses import dataclass

from open_speech.model_indexes import signatures
from open_speech.model_indexes.acceptance import Offer, accept, require_own_name
from open_speech.model_indexes.fetching import address_of, fetch
from open_speech.model_indexes.folder import ModelIndexes
from open_speech.model_indexes.parsing import parse
from open_speech.model_indexes.rows import Catalog, index_of, require_valid
from open_speech.model_indexes.values import IndexRefused, StoredIndex

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator demands of an index, and allows it."""

    sha256: str = ""
    """The expected SHA-256 of the index; empty if it is not known."""
    key: str = ""
    """Ed25519 public key in base64, by which the index must be signed; empty if it is not."""
    allow_private: bool = False
    """Whether the index and its files may be on private addresses; also true if the index was accepted with it before."""
    offline: bool = False
    """Whether no network may be used: only a file can be added."""


def add(folder: ModelIndexes, catalog: Catalog, place: str, terms: Terms) -> StoredIndex:
    """Add the index at a URL or path, or update it, and return it. Nothing is stored unless the whole index is valid and accepted.

    `catalog` has the models of Open Speech and of plugins, which an index cannot replace. Raises IndexRefused.
    """
    address = address_of(place)
    if terms.offline and address.is_url:
        raise IndexRefused("OS_OFFLINE is set: an index can only be added from a file.")
    pin = _pin(address.sha256, terms.sha256)
    key = signatures.public_key(terms.key) if terms.key else ""
    earlier = folder.accepted()
    private = terms.allow_private or any(one.allow_private for one in earlier if one.source == address.source)
    content = fetch(address, allow_private=private)
    index = index_of(parse(content), allow_private=private)
    require_own_name(index, address.source, earlier)
    offer = Offer(address.source, content, pin, key, private)

    def signature() -> bytes:
        return fetch(address, signatures.SUFFIX, allow_private=private, limit=signatures.MAX_BYTES)

    others = [model for one in folder.all()[0] if one.accepted.source != address.source for model in one.content.models]
    require_valid(index, Catalog(catalog.backends.values(), (*catalog.models, *others)))
    before = next((one for one in earlier if one.source == address.source), None)
    accepted = accept(offer, index, before, signature)
    folder.write(accepted, content)
    return StoredIndex(accepted, index)


def _pin(in_place: str, option: str) -> str:
    """Return the pin, from the fragment of the address or from the option. Raises IndexRefused if they differ."""
    option = option.lower()
    if option and not _SHA256.fullmatch(option):
        raise IndexRefused("A SHA-256 has 64 hexadecimal digits.", param="--sha256")
    if option and in_place and option != in_place:
        raise IndexRefused("`--sha256` and the fragment of the address differ.", param="--sha256")
    return option or in_place
