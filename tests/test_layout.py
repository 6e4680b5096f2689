"""The shape of the project: what may import what, how long a file may be, that every module is tested, that lists agree."""

from __future__ import annotations

import ast
import importlib
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

from open_speech.backends import BackendEntry
from runners import catalog

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
CODE = [ROOT / "service.py", *sorted(path for part in ("open_speech", "runners") for path in (ROOT / part).rglob("*.py"))]
ALL = CODE + sorted(path for part in ("tests", "benchmarks", "clients", "examples") for path in (ROOT / part).rglob("*.py"))
MODEL_PACKAGES = {"torch", "faster_whisper", "ctranslate2", "onnxruntime", "kokoro", "kokoro_onnx", "piper", "misaki", "transformers"} | {
    "moonshine_onnx", "vosk", "onnx_asr", "whisper", "senko", "qwen_tts", "TTS", "xllamacpp",
}  # fmt: skip
BANNED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

TESTED_ELSEWHERE = {
    "service.py": "tests/served",
    "open_speech/backends.py": "tests/conformance",
    "open_speech/backend_values.py": "tests/conformance",
    "runners/host/options.py": "tests/runners/host/test_host.py",
    "open_speech/errors.py": "tests/http/test_errors.py",
    "open_speech/http/dependencies.py": "tests/api/openai",
    "open_speech/recognition/segmentation.py": "tests/recognition/test_transcription.py",
    "open_speech/recognition/request.py": "tests/recognition/test_service.py",
    "open_speech/synthesis/plan.py": "tests/synthesis/test_service.py",
    "open_speech/synthesis/stream.py": "tests/synthesis/test_service.py",
    "open_speech/synthesis/rendering.py": "tests/api/openai/test_speech_cache.py",
    "open_speech/engine.py": "tests/runners/wiring/test_engine.py",
    "open_speech/api/openai/recognition_request.py": "tests/api/openai/test_transcriptions.py",
    "open_speech/api/openai/synthesis_request.py": "tests/api/openai/test_speech.py",
    "open_speech/model_files.py": "tests/weights",
    "runners/host/device.py": "tests/cli/test_doctor.py",
    "runners/wiring/factories.py": "tests/runners/wiring/test_engine.py",
    "runners/wiring/front.py": "tests/served",
    "runners/wiring/runner_parts.py": "tests/runners/wiring/test_engine.py",
    "runners/wiring/services.py": "tests/runners/wiring/test_engine.py",
    "runners/wiring/supervisor_parts.py": "tests/cli/test_serve.py",
    "runners/host/own_service.py": "tests/test_process_imports.py",
    "runners/catalog/cloud.py": "tests/runners/support/test_cloud.py",
    "runners/catalog/placement.py": "tests/runners/wiring/test_engine.py",
    "open_speech/concurrency/blocking_iterators.py": "tests/runners/host/test_host.py",
    "runners/wiring/bento_service.py": "tests/served",
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
    # The speech detector runs in the front: a frame of 32 ms cannot afford a hop. It is loaded when the first file comes. The turn detector
    # needs the audio that is there, and answers within a pause of speech.
    assert found == {f"open_speech/recognition/{name}.py": {"onnxruntime"} for name in ("vad", "smart_turn")}


def test_nothing_below_the_command_line_imports_it() -> None:
    below = [path for path in CODE if not path.is_relative_to(ROOT / "open_speech/cli")]
    assert [name_of(path) for path in below if any(f"{module}.".startswith("open_speech.cli.") for module in imports(path))] == []


def test_no_module_of_the_server_imports_the_conformance_kit() -> None:
    kit = ROOT / "open_speech/testing"
    others = [path for path in CODE if not path.is_relative_to(kit)]
    assert [name_of(path) for path in others if any(module.startswith("open_speech.testing") for module in imports(path))] == []
    assert [name_of(path) for path in others if roots(path) & {"pytest", "jiwer"}] == []


def test_a_runner_imports_its_model_package_only_when_it_loads() -> None:
    assert {name_of(path): found for path in CODE if (found := roots(path, at_import=True) & MODEL_PACKAGES)} == {}


LAYERS = """
errors client
audio transcript languages model_files hub_names security concurrency sandbox shared_state
backend_values
backends logs
config registry model_rows
plugins
text dispatch weights
model_indexes
metrics codecs
voices recognition testing
synthesis
engine
http
webrtc
dialogue
api.openai api.health api.metrics
api.whisper_asr api.jobs api.live_speech api.live_transcription api.realtime api.wyoming api.management
api.gemmavoice api.live api.translations
api.dialogue api.livekit
app
runners.support
runners.catalog
runners.host
runners.wiring
runners
open_speech.cli service
"""
"""The packages and modules of the project, lowest first. A part imports only parts on the lines before its own."""
ORDER = {part: number for number, line in enumerate(LAYERS.split("\n")) for part in line.split()}


def part_of(module: str) -> str:
    """Name the part of LAYERS that a module belongs to."""
    head, *rest = module.split(".")
    if head == "runners":
        return f"runners.{rest[0]}" if rest and f"runners.{rest[0]}" in ORDER else "runners"
    if head == "service" or not rest:
        return head
    if rest[0] == "api" and len(rest) > 1:
        return f"api.{rest[1]}"
    return f"open_speech.{rest[0]}" if rest[0] == "cli" else rest[0]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """The modules of this project that a file imports, a name of a package's own counted as its module."""
    found: set[str] = set()
    modules = {module_of(other) for other in CODE}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {name if (name := f"{node.module}.{alias.name}") in modules else node.module for alias in node.names}
    return {name for name in found if name in modules}


def wrong_ways(files: dict[str, set[str]]) -> list[str]:
    """List the imports that do not point down the layers: `files` is module -> the modules that it imports."""
    wrong = []
    for module, names in sorted(files.items()):
        here = part_of(module)
        for name in sorted(names):
            there = part_of(name)
            if there not in (here, "open_speech") and ORDER[there] >= ORDER[here]:
                wrong.append(f"{module} -> {name}")
    return wrong


def test_every_part_of_the_project_has_its_layer() -> None:
    parts = {part_of(module_of(path)) for path in CODE} - {"open_speech", "api"}
    assert parts == ORDER.keys()


def test_no_import_points_up_or_sideways() -> None:
    assert wrong_ways({module_of(path): imported(path) for path in CODE}) == []


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("open_speech.text.ssml", {"open_speech.engine"}),
        ("open_speech.dispatch.client", {"open_speech.api.openai.speech"}),
        ("open_speech.voices.library", {"open_speech.recognition.vad"}),
        ("open_speech.api.jobs.work", {"open_speech.api.realtime.session"}),
        ("runners.kokoro", {"open_speech.cli"}),
    ],
)
def test_an_import_that_points_up_or_sideways_is_found(module: str, names: set[str]) -> None:
    assert len(wrong_ways({module: names})) == 1


def test_modules_of_a_package_do_not_import_each_other_in_a_circle() -> None:
    assert circles({module_of(path): imported(path) for path in CODE if path.name != "__init__.py"}) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """List the modules that lie on a circle of imports, each circle once."""
    reached: dict[str, set[str]] = {}
    for module in graph:
        stack, seen = [module], set[str]()
        while stack:
            for name in graph.get(stack.pop(), set()) - seen:
                seen.add(name)
                stack.append(name)
        reached[module] = seen
    on = sorted(module for module in graph if module in reached[module])
    return [list(group) for group in dict.fromkeys(tuple(other for other in on if other in reached[m] and m in reached[other]) for m in on)]


def test_only_wiring_knows_an_api() -> None:
    """The Wyoming server runs in a process of its own beside the runners, and that process has metrics; `runners/wiring` builds it."""
    runners = [path for path in CODE if path.is_relative_to(ROOT / "runners") and not path.is_relative_to(ROOT / "runners/wiring")]
    apis = ("open_speech.api", "open_speech.app", "open_speech.cli", "service")
    assert [name_of(path) for path in runners if any(module.startswith(apis) for module in imports(path))] == []


@pytest.mark.parametrize("entry", catalog.BACKENDS, ids=lambda entry: entry.name)
def test_what_the_catalog_names_by_a_string_exists(entry: BackendEntry) -> None:
    for named in (entry.target, *([entry.offers] if entry.offers else [])):
        module, _, name = named.partition(":")
        assert hasattr(importlib.import_module(module), name), named


VALUES = (
    "audio transcript errors backends dispatch/frames registry text/cleanup recognition/subtitles recognition/subtitle_layout"
    " recognition/diarization recognition/windows recognition/hallucinations codecs/g711 synthesis/limiter synthesis/legibility"
    " text/normalization/folding text/normalization/grammar text/normalization/markup text/normalization/scripts text/ipa"
    " http/ws_messages dispatch/throughput dispatch/choice dispatch/merged_status"
    " text/chunking text/steps text/ssml text/say_as text/spoken_form text/numbers_en"
    " plugins/names model_indexes/values model_indexes/schema model_indexes/parsing model_indexes/rows model_indexes/joining"
    " model_indexes/acceptance synthesis/prosody model_files recognition/resume api/jobs/job api/realtime/response_policy api/realtime/beta"
    " api/realtime/checking api/realtime/client_messages api/realtime/effects api/realtime/events api/realtime/items"
    " api/realtime/input_buffer api/realtime/prompting api/realtime/responses api/realtime/session api/realtime/settings api/realtime/state"
    " api/realtime/early_answers api/realtime/held_speech api/realtime/response_requests api/realtime/user_turns"
    " api/realtime/ephemeral_format security/signing shared_state/allowances"
    " api/realtime/transcripts api/translations/clauses api/translations/messages api/translations/ordering"
    " api/translations/prompting api/translations/session api/translations/settings"
    " api/live/answers api/live/appends api/live/config api/live/conversation api/live/early_answers api/live/delegation api/live/effects"
    " api/live/errors api/live/events api/live/input_transcript api/live/output api/live/permissions api/live/response_input"
    " api/live/session api/live/state api/live/timeline api/live/turns"
    " dialogue/memory dialogue/trimming dialogue/completions dialogue/verbatim dialogue/interruption"
    " dialogue/comparable_text api/dialogue/bodies"
    " api/dialogue/conversation_messages api/dialogue/generation_config api/dialogue/synthesis_config api/dialogue/utterance"
)


@pytest.mark.parametrize("name", VALUES.split())
def test_a_value_module_does_no_input_or_output(name: str) -> None:
    assert not roots(ROOT / "open_speech" / f"{name}.py") & {"os", "socket", "asyncio", "threading", "httpx", "subprocess", "fastapi"}


@pytest.mark.parametrize(("theirs", "said"), [({}, "4"), ({"OPENBLAS_THREAD_TIMEOUT": "20"}, "20")])
def test_numpys_threads_are_told_not_to_spin_before_numpy_is_there(theirs: dict[str, str], said: str) -> None:
    code = "import sys, os, open_speech; print(os.environ['OPENBLAS_THREAD_TIMEOUT'], 'numpy' in sys.modules)"
    kept = {name: value for name, value in os.environ.items() if name != "OPENBLAS_THREAD_TIMEOUT"}
    shown = subprocess.run([sys.executable, "-c", code], env=kept | theirs, cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [said, "False"]


FOR_SERVERS = ("postgres", "redis", "webrtc")
"""Extras that the images have beside `embedded`."""


def image_packages() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    (embedded,) = extras["embedded"]
    parts = embedded.removeprefix("open-speech[").removesuffix("]").split(",")
    return [*project["dependencies"], *(package for part in (*parts, *FOR_SERVERS) for package in extras[part])]


def pinned(file: str) -> dict[str, Requirement]:
    lines = [Requirement(line) for line in (ROOT / file).read_text(encoding="utf-8").splitlines()]
    tested = {canonicalize_name(line.name): line for line in lines}
    assert len(tested) == len(lines)
    assert all([part.operator for part in line.specifier] == ["=="] for line in lines)
    return tested


def test_the_bento_installs_its_extras_in_the_versions_that_were_tested() -> None:
    bento = yaml.safe_load((ROOT / "bentofile.yaml").read_text(encoding="utf-8"))
    image, tested = pinned(bento["python"]["requirements_txt"]), pinned("constraints.txt")
    assert {name: line.specifier for name, line in image.items()} == {name: tested[name].specifier for name in image}
    assert {canonicalize_name(Requirement(line).name) for line in image_packages()} <= image.keys()
    assert "torch" not in image


def test_the_bento_without_gpl_installs_the_same_versions_of_fewer_packages() -> None:
    free, image = pinned("deploy/requirements-free.txt"), pinned("deploy/requirements.txt")
    assert {name: str(line) for name, line in image.items() if name in free} == {name: str(line) for name, line in free.items()}
    without_gpl = {"dlinfo", "espeakng-loader", "joblib", "pathvalidate", "phonemizer", "piper-tts"}
    without_lgpl = {"psycopg", "psycopg-binary", "psycopg-pool"}
    assert image.keys() - free.keys() == without_gpl | without_lgpl


def test_the_bento_for_gpus_installs_that_and_kokoros_torch() -> None:
    bento = yaml.safe_load((ROOT / "bentofile.cuda.yaml").read_text(encoding="utf-8"))
    *shared, kokoro, torch = bento["python"]["packages"]
    assert shared == image_packages()
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
