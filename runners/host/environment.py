"""The environment of each process of the server: the server's own, without the secrets that belong to other processes. Pure.

Engines run model files and native code, so their processes contain no key that they do not use. A secret is a setting that is declared as
one, or a variable that looks like one by its name (`AWS_SECRET_ACCESS_KEY`) or its value (`https://user:password@host`).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from open_speech import config
from open_speech.backends import BackendEntry
from open_speech.config import Settings
from open_speech.model_files import ArchiveSource, HubSource
from open_speech.weights.pip_config import INDEX_VARIABLES
from runners import catalog
from runners.catalog.placement import plan

FRONT = "open_speech"
WYOMING = "wyoming_door"
"""Names of the two BentoML services that are not backends."""

_SECRET_NAME = re.compile(r"(?:^|_)(?:(?:API|ACCESS|PRIVATE|SECRET)?KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|AUTH)(?:_|$)")
_URL_WITH_USER = re.compile(r"://[^/\s@]+@")
_HUB_PREFIXES = ("HF_", "HUGGING_FACE_", "HUGGINGFACE_")


@dataclass(frozen=True, slots=True)
class Needs:
    """The secrets that a process uses."""

    settings: frozenset[str] = frozenset()
    """Names of the variables of secret settings, and of a plugin's own variables."""
    hub: bool = False
    """Whether the process downloads weights from the Hugging Face hub, with the user's token if there is one."""
    index: bool = False
    """Whether the process downloads weights from a package index, whose URL may contain a user and password."""


def needs(service: str, settings: Settings) -> Needs:
    """Return the secrets that the process of a BentoML service needs; none for a service that is not one of ours.

    The front needs everything. The Wyoming process calls the servers behind some backends to learn their models, and runs backends that
    are placed `inproc`. A runner needs the settings of its own backend.
    """
    if service == FRONT:
        placed = {name for placement in plan(settings) for name in placement.backend.variables}
        return Needs(config.secrets() | placed, hub=True, index=True)
    if service == WYOMING:
        placements = plan(settings)
        pulling = [placement.backend for placement in placements if placement.where == "inproc"]
        found = _needs((placement.backend for placement in placements), pulling, settings)
        # The speech detection model is a file of the package faster-whisper, or else downloaded from the package index.
        detector_missing = importlib.util.find_spec("faster_whisper") is None and not settings.os_offline
        return replace(found, index=found.index or detector_missing)
    backends = [entry for entry in catalog.backends() if entry.service == service]
    return _needs(backends, backends, settings)


def handed_over(environ: Mapping[str, str], service: str, settings: Settings, *, stand_in: str) -> dict[str, str]:
    """Return the part of `environ` that the process of `service` is started with.

    Processes other than the front get `stand_in` instead of the API keys: other settings depend on whether the server has a key, and must
    have the same values in all processes. `stand_in` must be random, so that no client can use it as a key.
    """
    environ = config.translated(environ).environ  # a secret under an old name, too, goes only to the processes that need it
    needed = needs(service, settings)
    kept = {name: value for name, value in environ.items() if not is_secret(name, value) or _is_needed(name, needed)}
    if settings.keys and "OS_API_KEY" not in needed.settings:
        kept["OS_API_KEY"] = stand_in
    return kept


def is_secret(name: str, value: str) -> bool:
    """Return whether a variable contains a secret. Proxy variables are not secrets: every process that uses the network needs them."""
    if name in config.secrets():
        return True
    if name in config.names() or name.upper().endswith("_PROXY"):
        return False
    return bool(_SECRET_NAME.search(name.upper()) or _URL_WITH_USER.search(value))


def _needs(backends: Iterable[BackendEntry], pulling: Iterable[BackendEntry], settings: Settings) -> Needs:
    backends = tuple(backends)
    own = config.secrets() & {name.upper() for entry in backends for name in entry.settings}
    own |= {name for entry in backends for name in entry.variables}
    if settings.os_offline:
        return Needs(own)
    names = {entry.name for entry in pulling}
    sources = [source for model in catalog.models() if model.backend in names for part in (model, *model.parts) for source in part.sources]
    hub = any(entry.open_ended for entry in pulling) or any(isinstance(source, HubSource) for source in sources)
    return Needs(own, hub=hub, index=any(isinstance(source, ArchiveSource) for source in sources))


def _is_needed(name: str, needed: Needs) -> bool:
    return name in needed.settings or (needed.hub and name.startswith(_HUB_PREFIXES)) or (needed.index and name in INDEX_VARIABLES)
