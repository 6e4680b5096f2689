"""Templates for NAS systems in deploy/: Unraid, TrueNAS and CasaOS. They follow the formats of these systems and fit the server."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from defusedxml import ElementTree

from open_speech import __version__, config
from open_speech.config import Settings
from tests.manifests import read
from tests.waiting import PATIENCE_S

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
UNRAID = DEPLOY / "unraid" / "open-speech.xml"
TRUENAS = DEPLOY / "truenas" / "compose.yaml"
CASAOS = DEPLOY / "casaos" / "docker-compose.yml"
COMPOSED = [TRUENAS, CASAOS]
IMAGE = f"registry.example.com/open-speech:{__version__}"
PORTS = [Settings().os_port, Settings().os_wyoming_port]

ELEMENTS = [
    "Name", "Repository", "Registry", "Network", "MyIP", "Shell", "Privileged", "Support", "Project", "Overview", "Category", "WebUI",
    "TemplateURL", "Icon", "ExtraParams", "PostArgs", "CPUset", "DateInstalled", "DonateText", "DonateLink", "Requires",
]  # fmt: skip
"""What Unraid writes into a template, in its order; the `Config` elements follow."""
MODES = {"Port": {"tcp", "udp"}, "Path": {"rw", "ro"}, "Variable": {""}}
CATEGORIES = {"Media", "Productivity", "Home", "Networking", "AI", "Finance", "Social", "Developer", "Others"}
"""Of CasaOS' and ZimaOS' stores. Source: their specification of `x-casaos`."""


def service(path: Path) -> dict[str, Any]:
    (only,) = read(path)["services"].values()
    return dict(only)


# -- Unraid


def configs() -> list[dict[str, str]]:
    return [{**element.attrib, "value": element.text or ""} for element in ElementTree.parse(UNRAID).getroot().iter("Config")]


def test_the_template_for_unraid_has_the_elements_that_unraid_writes() -> None:
    root = ElementTree.parse(UNRAID).getroot()
    assert (root.tag, root.attrib) == ("Container", {"version": "2"})
    tags = [element.tag for element in root]
    assert tags == ELEMENTS + ["Config"] * (len(tags) - len(ELEMENTS))
    assert root.findtext("Repository") == IMAGE
    assert root.findtext("Privileged") == "false"


def test_every_field_of_unraid_is_complete() -> None:
    for row in configs():
        assert set(row) == {"Name", "Target", "Default", "Mode", "Description", "Type", "Display", "Required", "Mask", "value"}
        assert row["Mode"] in MODES[row["Type"]]
        assert row["Display"] in {"always", "always-hide", "advanced", "advanced-hide"}
        assert {row["Required"], row["Mask"]} <= {"true", "false"}
        assert row["value"] in row["Default"].split("|")
    assert [row["Target"] for row in configs() if row["Mask"] == "true"] == ["OS_API_KEY"]


def test_the_fields_of_unraid_are_ports_folders_and_settings_of_the_server() -> None:
    by_kind = {kind: {row["Target"]: row["value"] for row in configs() if row["Type"] == kind} for kind in MODES}
    assert list(map(int, by_kind["Port"])) == PORTS
    assert set(by_kind["Path"]) == {"/models", "/data"}
    assert set(by_kind["Variable"]) <= set(config.names())
    config.load({**by_kind["Variable"], "OS_API_KEY": "a-key"})
    assert f"[PORT:{PORTS[0]}]/web/" in (ElementTree.parse(UNRAID).getroot().findtext("WebUI") or "")


def test_the_container_of_unraid_can_do_no_more_than_it_needs() -> None:
    extra = (ElementTree.parse(UNRAID).getroot().findtext("ExtraParams") or "").split(" --")
    # 99:100 is the user of Unraid's shares.
    assert {"read-only", "cap-drop=ALL", "security-opt=no-new-privileges:true"} <= set(extra)
    assert any(part.startswith("--user 99:100") for part in extra)
    (stop,) = (int(part.partition("=")[2]) for part in extra if part.startswith("stop-timeout="))
    assert stop >= Settings().os_stop_timeout_s + 10


# -- Compose


@pytest.mark.parametrize("path", COMPOSED, ids=lambda path: path.parent.name)
def test_the_service_is_that_of_our_own_compose_file(path: Path) -> None:
    ours, theirs = service(DEPLOY / "compose.yaml"), service(path)
    assert theirs["image"] == IMAGE
    same = ("hostname", "read_only", "tmpfs", "cap_drop", "security_opt", "pids_limit", "restart", "stop_grace_period", "healthcheck")
    assert {name: theirs[name] for name in same} == {name: ours[name] for name in same}
    assert [port["target"] for port in theirs["ports"]] == PORTS


@pytest.mark.parametrize("path", COMPOSED, ids=lambda path: path.parent.name)
def test_the_server_starts_with_a_key_and_not_without(path: Path) -> None:
    environ = service(path)["environment"]
    assert set(environ) <= set(config.names())
    with pytest.raises(config.SettingsError, match="OS_AUTH_REQUIRED"):
        config.load(environ)
    assert not config.load(environ | {"OS_API_KEY": "a-key"}).os_wyoming_enabled


@pytest.mark.parametrize("path", COMPOSED, ids=lambda path: path.parent.name)
def test_compose_parses_the_file(path: Path) -> None:
    if shutil.which("docker") is None or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("`docker compose` is not installed")
    environ = {"PATH": "/usr/bin:/bin:/usr/local/bin", "AppID": "open-speech", "PUID": "1000", "PGID": "1000"}
    command = ["docker", "compose", "-f", str(path), "config", "-q"]
    parsed = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (parsed.returncode, parsed.stderr) == (0, "")


def test_truenas_has_a_portal_for_the_page() -> None:
    (portal,) = read(TRUENAS)["x-portals"]
    assert portal == {"host": "0.0.0.0", "name": "Web UI", "path": "/web/", "port": PORTS[0], "scheme": "https"}
    assert set(read(TRUENAS)["volumes"]) == {volume.partition(":")[0] for volume in service(TRUENAS)["volumes"]}


def test_casaos_has_what_its_store_requires() -> None:
    whole = read(CASAOS)
    store = whole["x-casaos"]
    assert re.fullmatch(r"[a-z0-9_-]+", whole["name"])
    assert re.fullmatch(r"[a-z0-9]+(\.[a-z0-9_-]+)+", store["id"])
    assert store["main"] in whole["services"]
    assert store["port_map"] == service(CASAOS)["ports"][0]["published"] == str(PORTS[0])
    assert store["category"] in CATEGORIES
    assert store["version"] == __version__
    assert set(store["architectures"]) == {"amd64", "arm64"}
    texts = [store["title"], store["tagline"], store["description"], *store["tips"].values()]
    assert all("en_US" in text and all(re.fullmatch(r"[a-z]{2}_[A-Z]{2}", locale) for locale in text) for text in texts)
    assert all(isinstance(store[name], str) for name in ("index", "scheme", "icon", "author", "developer"))
