"""The Hugging Face hub: files of a repository, their URLs, and the user's own hub cache.

The hub's library provides the user's endpoint, token and cache. Requests use this package's own HTTP client (`Web`), so that timeouts,
errors and downloads do not depend on the HTTP library that the hub's library uses.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from huggingface_hub import constants, get_token, hf_hub_url, try_to_load_from_cache

from open_speech.errors import UnknownModel
from open_speech.model_files import HubSource, WeightFile
from open_speech.weights.by_hand import WHISPER_CORE, whisper_files
from open_speech.weights.reach import Reach, SourceFailed
from open_speech.weights.web import FileUnavailable, Web

_SHA256 = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Listing:
    """The model files of a repository at one commit."""

    commit: str
    paths: tuple[str, ...]


class Hub:
    """One hub and its cache."""

    def __init__(self, reach: Reach, endpoint: str | None = None, cache: Path | None = None) -> None:
        """Use the endpoint and cache of the user's `HF_*` variables by default."""
        self._reach = reach
        self._endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self._cache = cache or Path(constants.HF_HUB_CACHE)

    def headers(self) -> dict[str, str]:
        """Return the request headers with the user's token, if there is one. Raises SourceFailed if HF_HUB_OFFLINE is set."""
        if constants.HF_HUB_OFFLINE:
            raise SourceFailed("HF_HUB_OFFLINE is set")
        token = get_token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def url(self, source: HubSource, path: str) -> str:
        """Return the URL of a model's file."""
        return str(hf_hub_url(source.repo, source.paths.get(path, path), revision=source.revision, endpoint=self._endpoint))

    def listing(self, source: HubSource) -> Listing:
        """Request the list of files of a CTranslate2 Whisper repository.

        Raises UnknownModel if the repository does not exist or has no such model, SourceFailed if the hub returns no list.
        """
        url = f"{self._endpoint}/api/models/{source.repo}/revision/{quote(source.revision, safe='')}"
        try:
            with Web(self._reach) as web:
                page = web.page(url, "application/json", self.headers())
        except FileUnavailable as missing:
            # Without a token the hub returns 401 for a repository that does not exist.
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
        """Request the size of a file, and its SHA-256 if the hub stores one (large files). Raises SourceFailed or FileUnavailable."""
        headers = web.head(self.url(source, path), self.headers())
        if "x-repo-commit" not in headers:
            raise SourceFailed("the server is not a Hugging Face hub")
        # The size and hash of a large file are in the headers of the redirect to its storage.
        tag = headers.get("x-linked-etag", "").strip('"')
        size = headers.get("x-linked-size") or headers.get("content-length")
        return WeightFile(path, tag if _SHA256.match(tag) else None, int(size) if size else None)

    def cached(self, source: HubSource, path: str) -> Path | None:
        """Find a file in the user's hub cache, without the network."""
        name = source.paths.get(path, path)
        found = try_to_load_from_cache(source.repo, name, cache_dir=self._cache, revision=source.revision)
        return Path(found) if isinstance(found, str) else None

    def cached_listing(self, source: HubSource) -> Listing | None:
        """List the files of a CTranslate2 Whisper model in the user's hub cache, without the network."""
        core = self.cached(source, WHISPER_CORE[0])
        paths = whisper_files([path.name for path in core.parent.iterdir()]) if core else ()
        return Listing(core.parent.name, paths) if core and paths else None
