"""The files for contributors: what they name exists, and CI and the hooks run what a developer runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from open_speech.cli import COMMANDS
from open_speech.config import Settings

ROOT = Path(__file__).parent.parent
GITHUB = ROOT / ".github"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
YAML_FILES = [ROOT / ".pre-commit-config.yaml", *sorted(GITHUB.rglob("*.yml"))]
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
RECORDS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
REVISIONS = re.findall(r"# (.+)\n(.+)\n?", (ROOT / ".git-blame-ignore-revs").read_text(encoding="utf-8").partition("\n\n")[2])
PATH = re.compile(r"[\w.*-]*(/[\w.*-]+)+/?|[\w.-]+\.(md|toml|txt|py|yaml)")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def code(text: str) -> list[str]:
    """Return the words of inline code and of code blocks, comments left out."""
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [
        word.strip("\"'").rstrip(".,")
        for piece in [*blocks, *spans]
        for line in piece.splitlines()
        for word in line.partition(" #")[0].split()
    ]


def words_after(word: str) -> set[str]:
    """Return what follows `word` directly in the code of CONTRIBUTING.md."""
    return {second for first, second in pairwise(code(CONTRIBUTING)) if first == word and second.isascii() and not second.startswith("-")}


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_yaml_file_is_a_mapping_without_tabs(path: Path) -> None:
    assert isinstance(read(path), dict)
    assert "\t" not in path.read_text(encoding="utf-8")


def ci() -> dict[str, Any]:
    (job,) = read(GITHUB / "workflows/ci.yml")["jobs"].values()
    assert isinstance(job, dict)
    return job


def test_ci_runs_the_script_that_developers_can_run() -> None:
    assert [step["run"] for step in ci()["steps"] if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_ci_runs_on_pushes_and_pull_requests_and_may_only_read() -> None:
    workflow = read(GITHUB / "workflows/ci.yml")
    assert workflow[True].keys() == {"push", "pull_request"}  # YAML 1.1 reads the key `on` as true
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in ci()


def test_ci_pins_every_action_to_a_major_version() -> None:
    used = [step["uses"] for step in ci()["steps"] if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"actions/[\w-]+@v\d+", action)] == []


def test_ci_tests_the_python_versions_that_the_package_claims() -> None:
    tested = ci()["strategy"]["matrix"]["python"]
    claimed = re.findall(r"Programming Language :: Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert tested == claimed
    assert all(version in SpecifierSet(PROJECT["requires-python"]) for version in tested)
    assert " or ".join(tested) in CONTRIBUTING


def test_ci_keeps_the_weights_where_the_server_keeps_them() -> None:
    (path,) = [step["with"]["path"] for step in ci()["steps"] if "cache" in step.get("uses", "")]
    assert Settings().models_dir.is_relative_to(Path(path).expanduser())


def test_the_hooks_run_what_make_check_runs() -> None:
    check = re.search(r"^check:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert check is not None
    commands = re.findall(r"\$\(BIN\)/(ruff \w+|\w+)", check[1])
    hooks = [hook for repo in read(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert re.findall(r"\.venv/bin/(ruff \w+|\w+)", "\n".join(hook["entry"] for hook in hooks)) == commands


def test_the_hooks_download_no_versions_of_their_own() -> None:
    assert {repo["repo"] for repo in read(ROOT / ".pre-commit-config.yaml")["repos"]} == {"local"}


def test_every_path_that_the_guide_names_exists() -> None:
    named = {word for word in code(CONTRIBUTING) if PATH.fullmatch(word) and not word.startswith(".venv/")}
    assert {"tests/conformance/", "runners/NAME.py", "runners/catalog/models/*.toml", "pyproject.toml"} <= named
    assert [path for path in named if not any(ROOT.glob(path.replace("NAME", "*").rstrip("/")))] == []


def test_every_make_target_that_the_guide_names_exists() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    named = words_after("make")
    assert {"check", "test", "runner"} <= named
    assert named <= set(phony[1].split())


def test_every_setting_that_the_guide_names_exists() -> None:
    named = set(re.findall(r"\b(?:OS|STT|TTS)_[A-Z_]+\b", CONTRIBUTING))
    assert {"OS_LOG_LEVEL", "TTS_BACKENDS"} <= named
    assert {name.lower() for name in named} <= Settings.model_fields.keys()


def test_every_command_that_the_guide_names_exists() -> None:
    named = words_after("open-speech") | words_after(".venv/bin/open-speech")
    assert {"doctor", "serve", "speak"} <= named
    assert named <= set(COMMANDS)


def test_every_runner_that_the_guide_serves_exists() -> None:
    served = re.findall(r"runners\.(\w+):(\w+)", CONTRIBUTING)
    assert served
    for module, name in served:
        assert f"\n{name} = " in (ROOT / "runners" / f"{module}.py").read_text(encoding="utf-8")


def test_every_tier_that_the_guide_names_is_a_marker_of_pytest() -> None:
    markers = {marker.partition(":")[0] for marker in PYPROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    expressions = re.findall(r"pytest -m (?:'([^']+)'|(\w+))", CONTRIBUTING)
    named = {word for quoted, bare in expressions for word in (quoted or bare).split()} - {"and", "or", "not"}
    assert named == markers


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_has_what_github_requires(path: Path) -> None:
    form = read(path)
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields) > 0
    assert all(field["attributes"]["label"] for field in fields)
    assert {field["type"] for field in fields} <= {"input", "textarea", "dropdown", "checkboxes"}


def test_a_bug_report_asks_for_the_output_of_doctor() -> None:
    fields = {field.get("id"): field for field in read(GITHUB / "ISSUE_TEMPLATE/bug_report.yml")["body"]}
    assert "`open-speech doctor`" in fields["doctor"]["attributes"]["label"]
    assert fields["doctor"]["validations"] == {"required": True}


def test_vulnerabilities_are_sent_where_the_security_policy_says() -> None:
    (link,) = read(GITHUB / "ISSUE_TEMPLATE/config.yml")["contact_links"]
    assert f"({link['url']})" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "SECURITY.md" in link["about"]


def test_dependabot_leaves_exact_pins_alone() -> None:
    exact = {Requirement(line).name for line in PROJECT["dependencies"] if "==" in line}
    (pip,) = [entry for entry in read(GITHUB / "dependabot.yml")["updates"] if entry["package-ecosystem"] == "pip"]
    assert {ignored["dependency-name"] for ignored in pip["ignore"]} == exact


@pytest.mark.parametrize(("subject", "revision"), REVISIONS, ids=[subject for subject, _ in REVISIONS])
def test_a_revision_that_blame_skips_is_a_whole_hash_of_the_commit_beside_it(subject: str, revision: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", revision)
    git = shutil.which("git")
    shown = git and subprocess.run([git, "log", "-1", "--format=%s", revision], cwd=ROOT, capture_output=True, text=True, check=False)
    if shown and shown.returncode == 0:  # not in a shallow clone, nor in an archive without history
        assert shown.stdout.strip() == subject


def test_every_line_of_the_list_for_blame_is_a_subject_or_a_revision() -> None:
    lines = (ROOT / ".git-blame-ignore-revs").read_text(encoding="utf-8").splitlines()
    revisions = [line for line in lines if line and not line.startswith("#")]
    assert revisions == [revision for _, revision in REVISIONS]
    assert len(set(revisions)) == len(revisions) > 0


def test_decision_records_are_numbered_without_gaps_and_in_the_index() -> None:
    assert [record.name[:5] for record in RECORDS] == [f"{number:04}-" for number in range(1, len(RECORDS) + 1)]
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    assert re.findall(r"\| \[(\d{4})\]\(([^)]+)\) \|", index) == [(record.name[:4], record.name) for record in RECORDS]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_decision_record_has_its_number_and_a_status(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert text.startswith(f"# {record.name[:4]}: ")
    assert re.search(r"^Status: \w+, \d{4}-\d{2}\.", text, re.MULTILINE)
