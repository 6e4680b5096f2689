"""Which language model answers: that of another server (LLM_BASE_URL), or one of this server."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette

from open_speech.backends import ModelEntry, Task
from open_speech.config import Settings
from open_speech.config.language_model import DEFAULT_MODEL
from open_speech.dialogue.llm import RemoteLanguageModel
from open_speech.dialogue.local_model import Limits, LocalLanguageModel
from open_speech.dialogue.model import LanguageModel
from open_speech.dispatch.pool import RunnerPool
from open_speech.errors import BackendUnavailable, LanguageModelUnavailable, ModelElsewhere, SpeechError
from open_speech.metrics.meter import Meter
from open_speech.security.egress import is_local_only

DEFAULT = DEFAULT_MODEL
"""The value of LLM_MODEL with which the first downloaded model answers."""
KEPT_WITHIN_S = 10.0
"""Maximum wait for the list of downloaded models, in seconds: a session whose runner is busy must not begin without a language model."""
HOW = "set LLM_BASE_URL, or run `open-speech models pull gemma-3-1b-it`"


class LanguageModels:
    """The language models of one server."""

    def __init__(self, pool: RunnerPool, settings: Settings, *, meter: Meter | None = None) -> None:
        """`settings` decides which model is the default; `meter` counts what local models generate."""
        self._pool = pool
        self._settings = settings
        self._meter = meter or Meter()

    @property
    def is_remote(self) -> bool:
        """Whether another server's model is the default. Never for a key whose text must not leave this server (OS_LOCAL_ONLY_KEYS)."""
        return bool(self._settings.llm_base_url) and not is_local_only()

    def knows(self, name: str) -> bool:
        """Return whether `open` finds a language model of this name. Says nothing about its files."""
        if name and self.is_remote and name == self._settings.llm_model:
            return True
        try:
            return bool(name) and self._pool.registry.find(name).task is Task.LLM
        except SpeechError:
            return False

    async def has_default(self) -> bool:
        """Return whether a conversation that names no model is answered; a model that is still to be downloaded counts."""
        return self.is_remote or await self._default_entry() is not None

    async def default_name(self) -> str:
        """Return the name of the default model; empty if there is none."""
        if self.is_remote:
            return self._settings.llm_model
        entry = await self._default_entry()
        return "" if entry is None else entry.id

    async def open(self, name: str = "", *, live: bool = True) -> LanguageModel:
        """Return the language model of this name, or the default one. The caller closes it.

        Raises LanguageModelUnavailable if there is none, and UnknownModel, NotInstalled, WrongTask, PullNotAllowed or ModelElsewhere for a
        name.
        """
        settings = self._settings
        if settings.llm_base_url and name == settings.llm_model and is_local_only():
            message = f"The model `{name}` runs on another server, which OS_LOCAL_ONLY_KEYS forbids for your API key."
            raise ModelElsewhere(message, param="model")
        if self.is_remote and name in ("", DEFAULT, settings.llm_model):
            return RemoteLanguageModel(
                settings.llm_base_url, model=settings.llm_model, key=settings.llm_api_key, timeout_s=settings.llm_timeout_s
            )
        return await self.local(name, live=live)

    async def local(self, name: str = "", *, live: bool = False) -> LocalLanguageModel:
        """Return a language model of this server: the named one, or the default. Raises what `open` does."""
        entry = await (self._default_entry() if name in ("", DEFAULT) else self._pool.usable(name, Task.LLM))
        if entry is None:
            raise LanguageModelUnavailable(self.fault() or f"This server has no language model: {HOW}.")
        limits = Limits(self._settings.llm_timeout_s, self._settings.llm_max_tokens)
        return LocalLanguageModel(self._pool, entry, limits=limits, meter=self._meter, live=live)

    async def states(self) -> list[dict[str, Any]]:
        """List the local language models: id, description, size in bytes, and whether they are downloaded."""
        kept = await self._kept()
        return [
            {"id": entry.id, "description": entry.description, "size_bytes": entry.size_bytes, "installed": entry.id in kept}
            for entry in self._pool.registry.models(Task.LLM)
        ]

    def fault(self) -> str:
        """Return what is wrong with LLM_MODEL, for the log at start; empty if nothing is."""
        try:
            self._named()
        except SpeechError as error:
            return f"LLM_MODEL={self._settings.llm_model} is not used: {error.message}"
        return ""

    def _named(self) -> ModelEntry | None:
        """Return the local model of LLM_MODEL; None if it names none. Raises UnknownModel, NotInstalled or WrongTask."""
        name = self._settings.llm_model
        if name == DEFAULT or self._settings.llm_base_url:  # with a base URL, it is a name of that server
            return None
        return self._pool.registry.find(name, Task.LLM)

    async def _default_entry(self) -> ModelEntry | None:
        """Return the model of LLM_MODEL, or else the first that is downloaded; None if there is none."""
        if self.fault():
            return None
        if (named := self._named()) is not None:
            return named
        kept = await self._kept()
        return next((entry for entry in self._pool.registry.models(Task.LLM) if entry.id in kept), None)

    async def _kept(self) -> set[str]:
        backends = {name for name in self._pool.clients if self._pool.registry.backends[name].task is Task.LLM}
        return {model for name in backends for model in await self._pool.clients[name].kept(within_s=KEPT_WITHIN_S)}


def language_models(app: Starlette) -> LanguageModels:
    """Return the language models of a running application. Raises BackendUnavailable while it starts."""
    if app.state.engine is None:
        raise BackendUnavailable("The server is still starting.", retry_after_s=1)
    return LanguageModels(app.state.engine.pool, app.state.settings, meter=app.state.engine.meter)
