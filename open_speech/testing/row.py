"""The catalog row under test, the backend loaded for it, and the requirements of the row itself."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from open_speech import config
from open_speech.backends import BackendEntry, ModelEntry, Setup
from open_speech.plugins import Plugin
from open_speech.plugins.checks import backend_faults, model_faults
from open_speech.plugins.loading import loaded, target_fault
from open_speech.plugins.values import Offer
from open_speech.weights import Store


@dataclass(frozen=True, slots=True)
class Row:
    """A model of the catalog and its backend."""

    backend: BackendEntry
    model: ModelEntry


class CatalogRow:
    """The base of the classes of the kit. A subclass sets `plugin`, and may override the fixtures."""

    plugin: ClassVar[Plugin]
    model_id: ClassVar[str] = ""
    """The model to test; empty for the first of the plugin."""

    @pytest.fixture(scope="class")
    @classmethod
    def row(cls) -> Row:
        """The row under test."""
        models = {model.id: model for model in cls.plugin.models}
        return Row(cls.plugin.backend, models[cls.model_id] if cls.model_id else cls.plugin.models[0])

    @pytest.fixture(scope="class")
    @classmethod
    def models_dir(cls) -> Path:
        """The folder with the weights: OS_MODELS_DIR."""
        return config.load().models_dir

    @pytest.fixture(scope="class")
    @classmethod
    def backend_settings(cls, row: Row) -> Mapping[str, Any]:
        """The values of the backend's settings and variables, from the environment."""
        settings = config.load()
        return {name: getattr(settings, name) for name in row.backend.settings} | config.variables(row.backend.variables)

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls, row: Row, models_dir: Path, backend_settings: Mapping[str, Any]) -> Any:
        """The backend with the model, loaded once; skips the test, with the reason, if the backend or its weights are not installed."""
        return load(row, models_dir, backend_settings)


def load(row: Row, models_dir: Path, backend_settings: Mapping[str, Any] | None = None) -> Any:
    """Build and load the backend of a row on the CPU with two threads, or skip the test."""
    missing = [name for name in row.backend.requires if importlib.util.find_spec(name) is None]
    missing += [name for name in row.backend.programs if shutil.which(name) is None]
    some = row.backend.requires_any
    missing += [] if not some or any(map(importlib.util.find_spec, some)) else [" or ".join(some)]
    if missing:
        pytest.skip(f"{row.model.id} needs {', '.join(missing)}: {row.backend.remedy}")
    store, part = Store(models_dir, offline=True), row.model.part_for()
    if not store.is_complete(part):
        pytest.skip(f"{row.model.id} is not in the models folder: open-speech models pull {row.model.id}")
    module, _, name = row.backend.target.partition(":")
    setup = Setup(part, store.folder(part), device="cpu", threads=2, settings=backend_settings or {})
    instance = getattr(importlib.import_module(module), name)(setup)
    instance.load()
    return instance


class PluginConformance(CatalogRow):
    """The requirements of a package with a backend, without loading a model. A subclass sets `plugin`; the package must be installed."""

    def test_the_backend_has_a_valid_entry(self) -> None:
        """The name, the target, the settings and the speed range of the backend are valid."""
        assert list(backend_faults(self.plugin.backend)) == []

    def test_every_model_has_a_valid_row(self) -> None:
        """Each model has a licence, languages and a description; a speaking one its rate and voices; its sources have all its files."""
        assert self.plugin.models, "a plugin without a model adds nothing that a request could name"
        faults = {model.id: list(model_faults(model, self.plugin.backend)) for model in self.plugin.models}
        assert {name: found for name, found in faults.items() if found} == {}

    def test_the_entry_point_leads_to_the_plugin(self) -> None:
        """An installed package has an entry point in `open_speech.backends` with the name of the backend, and it is this plugin."""
        offers = {offer.name: offer for offer in loaded()}
        found = offers.get(self.plugin.backend.name)
        assert isinstance(found, Offer), found or "is the package installed?"
        assert found.plugin == self.plugin

    def test_the_class_and_its_runner_can_be_imported(self) -> None:
        """The module of `target` defines the class, and ends with a runner of the backend's name."""
        assert target_fault(self.plugin.backend.target, self.plugin.backend.name) == ""

    def test_no_engine_is_imported_before_it_is_loaded(self) -> None:
        """Importing the module of `target` imports nothing of what it requires: the process of the APIs imports it, and must stay small."""
        module = self.plugin.backend.target.partition(":")[0]
        code = f"import sys, {module}; print(*sorted(sys.modules))"
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
        assert not set(done.stdout.split()) & {*self.plugin.backend.requires, *self.plugin.backend.requires_any}
