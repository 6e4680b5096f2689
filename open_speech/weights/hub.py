"""The Hugging Face hub: what a repository holds, where its files are, and what the user's own hub cache already has.

The hub's library knows the user's endpoint, token and cache; we ask over our own HTTP, so that its time-outs, its errors and the bytes
are ours, whatever HTTP library the hub's uses this year.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote

from huggingface_hub import constants, get_token, hf_hub_url, try_to_load_from_cache

from open_speech.errors import UnknownModel
from open_speech.model_files import HubSource, WeightFile
from open_speech.weights.reach import Reach, SourceFailed
from open_speech.weights.web import NotThere, Web

WHISPER_FILES = ("*.bin", "*.json", "*.txt")
"""What a CTranslate2 Whisper is made of; a repository's other files (README, images) stay there."""
WHISPER_CORE = ("model.bin", "config.json")
"""Without these a folder or repository is no CTranslate2 Whisper."""
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a repository holds at one commit."""

    commit: str
    paths: tuple[str, ...]


def whisper_files(names: list[str]) -> tuple[str, ...]:
    """Choose the files of a CTranslate2 Whisper among a folder's or repository's names; empty if it is not one."""
    if not set(WHISPER_CORE) <= set(names):
        return ()
    chosen = [name for name in names if "/" not in name and any(fnmatchcase(name, pattern) for pattern in WHISPER_FILES)]
    return tuple(sorted(name for name in chosen if not name.startswith(".")))


class Hub:
    """One hub and the cache that goes with it."""

    def __init__(self, reach: Reach, endpoint: str | None = None, cache: Path | None = None) -> None:
        """By default the hub and cache that the user's `HF_*` variables name."""
        self._reach = reach
        self._endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self._cache = cache or Path(constants.HF_HUB_CACHE)

    def headers(self) -> dict[str, str]:
        """Give the request headers that carry the user's token, if there is one. Raises SourceFailed if the user keeps the hub off."""
        if constants.HF_HUB_OFFLINE:
            raise SourceFailed("HF_HUB_OFFLINE is set")
        token = get_token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def url(self, source: HubSource, path: str) -> str:
        """Give the download address of a model's file."""
        return str(hf_hub_url(source.repo, source.paths.get(path, path), revision=source.revision, endpoint=self._endpoint))

    def listing(self, source: HubSource) -> Listing:
        """Ask which files a CTranslate2 Whisper repository holds.

        Raises UnknownModel if there is no such repository or it holds something else, SourceFailed if the hub does not tell.
        """
        url = f"{self._endpoint}/api/models/{source.repo}/revision/{quote(source.revision, safe='')}"
        try:
            with Web(self._reach) as web:
                page = web.page(url, "application/json", self.headers())
        except NotThere as missing:
            # Without a token the hub answers 401 for a repository that does not exist.
            if missing.status in (401, 404):
                raise UnknownModel(f"The model `{source.repo}` does not exist here or on the Hugging Face hub.", param="model") from missing
            raise
        try:
            data = json.loads(page.body)
            commit, names = str(data["sha"]), [str(sibling["rfilename"]) for sibling in data["siblings"]]
        except (ValueError, KeyError, TypeError) as error:
            raise SourceFailed("the server is not a Hugging Face hub") from error
        paths = whisper_files(names)
        if not paths:
            raise UnknownModel(f"The repository `{source.repo}` contains no Whisper model in CTranslate2's format.", param="model")
        return Listing(commit, paths)

    def describe(self, source: HubSource, path: str, web: Web) -> WeightFile:
        """Ask for the size of a file, and for its SHA-256 where the hub knows it (large files only). Raises SourceFailed or NotThere."""
        headers = web.head(self.url(source, path), self.headers())
        if "x-repo-commit" not in headers:
            raise SourceFailed("the server is not a Hugging Face hub")
        # A large file's own figures are in the headers of the redirect to where it is stored.
        tag = headers.get("x-linked-etag", "").strip('"')
        size = headers.get("x-linked-size") or headers.get("content-length")
        return WeightFile(path, tag if _SHA256.match(tag) else None, int(size) if size else None)

    def cached(self, source: HubSource, path: str) -> Path | None:
        """Find a file in the user's hub cache, without the network."""
        name = source.paths.get(path, path)
        found = try_to_load_from_cache(source.repo, name, cache_dir=self._cache, revision=source.revision)
        return Path(found) if isinstance(found, str) else None

    def cached_listing(self, source: HubSource) -> Listing | None:
        """List a CTranslate2 Whisper in the user's hub cache, without the network."""
        core = self.cached(source, WHISPER_CORE[0])
        paths = whisper_files([path.name for path in core.parent.iterdir()]) if core else ()
        return Listing(core.parent.name, paths) if core and paths else None
