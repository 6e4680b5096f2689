"""What each service declares to BentoML, the table of it in the documentation, and the Kubernetes manifests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from _bentoml_sdk.service.config import validate
from bentoml._internal.configuration.containers import BentoMLContainer

from runners.wiring.bento_front import offered
from runners.wiring.resources import FRONT, Resources
from tests.manifests import container, front, runners

PAGE = Path(__file__).parents[3] / "docs/deploy.md"
COLUMNS = ("cpu", "memory", "gpu")


def table() -> dict[str, dict[str, Any]]:
    """Read the table in the documentation: service -> its resources."""
    section = PAGE.read_text(encoding="utf-8").split("## Resources\n")[1].split("\n## ")[0]
    found = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            name, *cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            assert cells[3], f"{name}: no reason"
            for service in re.findall(r"`(\w+)`", name):
                found[service] = {column: cell for column, cell in zip(COLUMNS, cells, strict=False) if cell != "–"}
    return found


def written(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def test_the_table_says_what_each_service_declares() -> None:
    declared = {name: service.config["resources"] for name, service in offered().items()} | {"open_speech": FRONT.declared()}
    assert table() == {name: {key: written(value) for key, value in own.items()} for name, own in declared.items()}


@pytest.mark.parametrize(("arguments", "gpu"), [({"variant": "cpu"}, {}), ({"variant": "cuda"}, {"gpu": 0.5}), ({}, {"gpu": 0.5})])
def test_only_a_bento_without_packages_for_gpus_declares_none(arguments: dict[str, str], gpu: dict[str, float]) -> None:
    BentoMLContainer.bento_arguments.set(arguments)
    try:
        assert Resources(gpu=0.5, cpu=2, memory="1Gi").declared() == {"cpu": 2, "memory": "1Gi"} | gpu
    finally:
        BentoMLContainer.bento_arguments.set({})


def test_bentoml_accepts_them() -> None:
    everything = Resources(gpu=1.0, cpu=0.5, memory="512Mi").declared()
    assert validate({"resources": everything})["resources"] == {"gpu": 1.0, "cpu": 0.5, "memory": "512Mi"}


def test_what_is_not_known_is_left_to_the_deployment() -> None:
    assert Resources(threads=2).declared() == {}


def test_the_manifests_reserve_what_the_services_declare() -> None:
    services = {name.replace("_", "-"): service.config["resources"] for name, service in offered().items()}
    wanted = {name: services[name.removeprefix("open-speech-")] for name in runners()} | {"open-speech-front": FRONT.declared()}
    assert len(wanted) > 1
    for name, deployment in (runners() | {"open-speech-front": front()}).items():
        reserved = container(deployment)["resources"]["requests"]
        assert cores(reserved["cpu"]) == wanted[name]["cpu"], name
        assert reserved["memory"] == wanted[name]["memory"], name


def cores(quantity: str) -> float:
    """Read a quantity of Kubernetes: `2` or `500m`."""
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)
