"""What `pip install 'open-speech[embedded-free]'` installs is not under the GPL, by the metadata of the packages and by their libraries."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
GPL = re.compile(r"\bA?GPL|\bGNU (Affero )?General Public", re.IGNORECASE)
LESSER = re.compile(r"\bLGPL|\bGNU (Lesser|Library)", re.IGNORECASE)
LIBRARIES = re.compile(r"espeak|x26[45]|readline|fftw", re.IGNORECASE)
"""Libraries under the GPL that wheels contain."""


def required(extra: str) -> Iterator[Requirement]:
    """Yield the packages of an extra, and of the extras that it names."""
    for line in map(Requirement, PROJECT["optional-dependencies"][extra]):
        if line.name == "open-speech":
            for inner in line.extras:
                yield from required(inner)
        else:
            yield line


def closure(extra: str) -> dict[str, Distribution]:
    """Return what an extra installs on this machine with the base install, by name. Raises PackageNotFoundError for one that is missing."""
    waiting = [*map(Requirement, PROJECT["dependencies"]), *required(extra)]
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    while waiting:
        package = waiting.pop()
        for part in {"", *package.extras}:
            if (package.name, part) in seen or (package.marker is not None and not package.marker.evaluate({"extra": ""})):
                continue
            seen.add((package.name, part))
            installed = found[canonicalize_name(package.name)] = distribution(package.name)
            for line in map(Requirement, installed.requires or ()):
                if line.marker is None or line.marker.evaluate({"extra": part}):
                    line.marker = None
                    waiting.append(line)
    return found


def licence(package: Distribution) -> str:
    """Return what the metadata of a package says of its licence: the expression, or the first line of the text with the classifiers."""
    said = package.metadata
    if said.get("License-Expression"):
        return str(said["License-Expression"])
    classifiers = [line for line in said.get_all("Classifier") or () if line.startswith("License ::")]
    return " ".join([(said.get("License") or "").strip().partition("\n")[0], *classifiers]).strip()


@pytest.fixture(scope="module")
def free() -> dict[str, Distribution]:
    try:
        return closure("embedded-free")
    except PackageNotFoundError as missing:
        pytest.skip(f"needs open-speech[embedded-free]: {missing}")


def test_it_speaks_and_transcribes_and_has_no_package_with_espeak(free: dict[str, Distribution]) -> None:
    assert {"faster-whisper", "hibari-tts", "onnxruntime", "bentoml"} <= free.keys()
    assert free.keys() & {"phonemizer", "espeakng-loader", "kokoro-onnx", "kokoro", "misaki", "piper-tts", "torch"} == set()


def test_no_package_is_under_the_gpl_and_two_are_under_the_lgpl(free: dict[str, Distribution]) -> None:
    said = {name: licence(package) for name, package in free.items()}
    assert [name for name, text in said.items() if not text] == []
    assert {name: text for name, text in said.items() if GPL.search(LESSER.sub("", text))} == {}
    assert {name for name, text in said.items() if LESSER.search(text)} == {"soxr", "zeroconf"}


def test_the_default_set_is_found_to_be_under_the_gpl() -> None:
    try:
        said = {name: licence(package) for name, package in closure("embedded").items()}
    except PackageNotFoundError as missing:
        pytest.skip(f"needs open-speech[embedded]: {missing}")
    assert {name for name, text in said.items() if GPL.search(LESSER.sub("", text))} == {"phonemizer", "piper-tts"}


def test_the_only_libraries_under_the_gpl_are_those_that_the_image_replaces(free: dict[str, Distribution]) -> None:
    """deploy/without_gpl_codecs.py replaces them; docs/engines.md names them."""
    files = {(name, path.name) for name, package in free.items() for path in package.files or () if ".so" in path.name}
    assert files
    found = {(name, file.partition("-")[0]) for name, file in files if LIBRARIES.search(file)}
    assert found <= {("av", "libx264"), ("av", "libx265")}
    text = (ROOT / "docs" / "engines.md").read_text(encoding="utf-8")
    assert "libx264" in text and "libx265" in text
    assert "soxr" in text and "zeroconf" in text


def test_the_versions_of_the_image_are_this_set(free: dict[str, Distribution]) -> None:
    lines = (ROOT / "deploy" / "requirements-free.txt").read_text(encoding="utf-8").splitlines()
    assert free.keys() <= {canonicalize_name(Requirement(line).name) for line in lines}
