"""The Kubernetes manifests of deploy/k8s as the tests read them: what the kustomization lists, and what a deployment runs with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

K8S = Path(__file__).parent.parent / "deploy/k8s"


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def manifests(kind: str) -> dict[str, dict[str, Any]]:
    """Every manifest of a kind that the kustomization lists, by name."""
    listed = read(K8S / "kustomization.yaml")["resources"]
    found = [one for name in listed for one in yaml.safe_load_all((K8S / name).read_text(encoding="utf-8"))]
    return {one["metadata"]["name"]: one for one in found if one["kind"] == kind}


def pod(deployment: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return found


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod(deployment)["containers"]
    return dict(only)


def labels(deployment: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return found


def selects(selector: dict[str, str], deployment: dict[str, Any]) -> bool:
    return selector.items() <= labels(deployment).items()


def selected_by(selector: dict[str, str]) -> list[str]:
    return [name for name, deployment in manifests("Deployment").items() if selects(selector, deployment)]


def environment(deployment: dict[str, Any]) -> dict[str, str]:
    """The settings that a deployment's container gets from the config maps and secrets it names."""
    sources = manifests("ConfigMap") | manifests("Secret")
    found: dict[str, str] = {}
    for source in container(deployment)["envFrom"]:
        (reference,) = source.values()
        one = sources[reference["name"]]
        found |= one.get("data", {}) | one.get("stringData", {})
    return found


def front() -> dict[str, Any]:
    return manifests("Deployment")["open-speech-front"]


def runners() -> dict[str, dict[str, Any]]:
    return {name: one for name, one in manifests("Deployment").items() if labels(one)["app.kubernetes.io/component"] == "runner"}
