"""The argument of a Bento that names its variant."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml.exceptions import InvalidArgument

from runners.wiring.bento_variant import variant

ROOT = Path(__file__).parents[3]


def test_a_server_that_is_started_from_its_source_has_no_variant() -> None:
    assert variant() is None


@pytest.mark.parametrize(("file", "name"), [("bentofile.yaml", "cpu"), ("bentofile.cuda.yaml", "cuda"), ("bentofile.free.yaml", "free")])
def test_each_bentofile_names_its_own(file: str, name: str) -> None:
    arguments = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))["args"]
    BentoMLContainer.bento_arguments.set(arguments)
    try:
        assert variant() == name
    finally:
        BentoMLContainer.bento_arguments.set({})


def test_an_unknown_variant_is_refused_and_named() -> None:
    BentoMLContainer.bento_arguments.set({"variant": "rocm"})
    try:
        with pytest.raises(InvalidArgument, match="variant"):
            variant()
    finally:
        BentoMLContainer.bento_arguments.set({})
