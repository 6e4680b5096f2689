"""Which services a Bento lists, and which of them are started."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import bentoml
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml.exceptions import BentoMLConfigException

from open_speech import config
from open_speech.config import SettingsError
from runners import catalog
from runners.catalog.placement import plan
from runners.host.bentoml_patches import quiet
from runners.wiring import bento_front
from runners.wiring.bento_front import FrontService, settings_errors
from runners.wiring.services import dependencies


@pytest.fixture
def built() -> Iterator[None]:
    """As if the service were imported by `bentoml build`, or from a Bento."""
    bento_front.offered()  # a service keeps the resources that it declared at its import: other tests expect those without a variant
    BentoMLContainer.bento_arguments.set({"variant": "cpu"})
    yield
    BentoMLContainer.bento_arguments.set({})


def front(**settings: str) -> Any:
    """Make a front service with the runners that these settings choose."""
    runners = dependencies(plan(config.load({"TTS_BACKENDS": "", **settings})))
    with quiet():
        return bentoml.service(name="open_speech", service_class=FrontService)(type("Front", (), runners))


def test_a_bento_lists_every_backend_of_the_catalog_and_wyoming(built: None) -> None:
    listed = front(STT_BACKENDS="tones-stt").all_services()
    assert set(listed) == {entry.service for entry in catalog.BACKENDS} | {"wyoming_door", "open_speech"}


def test_a_service_that_is_chosen_is_listed_once(built: None) -> None:
    service = front(STT_BACKENDS="tones-stt")
    assert service.all_services()["tones_stt"] is service.dependencies["runner_tones_stt"].on


@pytest.mark.parametrize(("backends", "started"), [("tones-stt", {"tones_stt"}), ("tones-stt@inproc", set()), ("upstream@http://x", set())])
def test_only_what_the_settings_choose_is_started(backends: str, started: set[str], built: None) -> None:
    assert set(front(STT_BACKENDS=backends).all_services(exclude_urls=True)) == started | {"open_speech"}


def test_a_server_that_is_started_from_its_source_imports_no_other_backend() -> None:
    assert set(front(STT_BACKENDS="tones-stt").all_services()) == {"tones_stt", "open_speech"}


def test_a_bento_serves_services_that_it_does_not_list(built: None) -> None:
    service = front(STT_BACKENDS="tones-stt,upstream@http://x")
    bento = SimpleNamespace(info=SimpleNamespace(services=[]))
    service.on_load_bento(bento)
    found = service.all_services()
    assert set(found) == {"tones_stt", "upstream", "open_speech"}
    assert all(one.bento is bento for one in found.values())


def test_every_service_of_a_bento_has_a_name_of_its_own() -> None:
    assert len(bento_front.offered()) == len(catalog.BACKENDS) + 1


def test_bentoml_prints_an_invalid_setting_in_one_line() -> None:
    with pytest.raises(BentoMLConfigException, match="^STT_BACKENDS: unknown backend 'wishper'"), settings_errors():
        plan(config.load({"STT_BACKENDS": "wishper"}))


def test_other_exceptions_keep_their_stack_trace() -> None:
    with pytest.raises(ZeroDivisionError), settings_errors():
        raise ZeroDivisionError
    assert not issubclass(SettingsError, BentoMLConfigException)
