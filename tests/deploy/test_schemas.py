"""Every Kubernetes object in deploy/, manifests and Helm chart, against Kubernetes' strict schemas, which refuse unknown fields too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.charts import DEFAULT, EVERYTHING, template
from tests.manifests import K8S

VERSIONS = ("1.29", "1.37")
"""The oldest version of these schemas that knows everything here, and the newest."""
OTHERS = {"ScaledObject", "Kustomization"}
"""Kinds that are not Kubernetes' own: KEDA's, and a file of kustomize."""


def faults(one: dict[str, Any]) -> list[str]:
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed: `make manifests` installs it"
    )
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as wrong:
            found.append(f"{version}: {wrong.message}")
    return found


def checked(objects: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {f"{one['kind']} {one['metadata']['name']}": faults(one) for one in objects if one["kind"] not in OTHERS}


def manifests() -> list[dict[str, Any]]:
    return [one for path in sorted(K8S.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def test_the_manifests_are_valid() -> None:
    found = checked(manifests())
    assert len(found) > 15
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("chosen", [DEFAULT, EVERYTHING], ids=["default", "everything"])
def test_what_helm_renders_is_valid(chosen: dict[str, Any], tmp_path: Path) -> None:
    found = checked(template(chosen, tmp_path))
    assert len(found) > 15
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_the_check_finds_an_unknown_field_and_a_wrong_type() -> None:
    (deployment, *_) = [one for one in manifests() if one["kind"] == "Deployment"]
    deployment["spec"]["replica"] = 1
    assert faults(deployment) != []
    del deployment["spec"]["replica"]
    assert faults(deployment) == []
    deployment["spec"]["replicas"] = "one"
    assert faults(deployment) != []
