"""Every attack once, and again those that once found something, on a server as a user starts it."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import pytest

from benchmarks.fuzz import ATTACKS
from benchmarks.fuzz.attack import Target
from benchmarks.fuzz.storm import tracebacks
from benchmarks.served import Served, free_port, serve
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.served

FOUND = tomllib.loads((Path(__file__).parent / "seeds.toml").read_text(encoding="utf-8"))["found"]
KEPT = {row["attack"]: row["seeds"] for row in FOUND}


@pytest.fixture(scope="module")
def attacked(tones: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Target]]:
    port = free_port()
    doors = {"OS_WYOMING_ENABLED": "true", "OS_WYOMING_PORT": str(port), "OS_STREAM_MAX_CONNECTIONS": "64"}
    library: Path = tmp_path_factory.mktemp("library")
    with serve({**tones, **doors, "OS_VOICE_LIBRARY_PATH": str(library)}) as served:
        yield served, Target(int(served.url.rpartition(":")[2]), port)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_no_wrong_answer_and_harms_nobody_else(attacked: tuple[Served, Target], name: str) -> None:
    served, target = attacked
    written = len(tracebacks(served))
    for seed in KEPT.get(name, [0]):
        asyncio.run(attack(name, seed, target))  # raises Fault
    assert httpx.get(f"{served.url}/livez", timeout=PATIENCE_S).status_code == 200
    assert tracebacks(served)[written:] == []


async def attack(name: str, seed: int, target: Target) -> None:
    await ATTACKS[name](target, Random(f"{name}/{seed}"))


def test_the_kept_seeds_are_of_attacks_that_there_are() -> None:
    assert set(KEPT) <= set(ATTACKS)
