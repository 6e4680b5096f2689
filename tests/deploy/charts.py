"""The Helm chart of deploy/helm, rendered by Helm itself: the `helm` command, or its Go code in the package helm-python-sdk."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifests import read
from tests.waiting import PATIENCE_S

CHART = Path(__file__).parent.parent.parent / "deploy" / "helm"
RELEASE = "speech"
NOT_INSTALLED = "neither `helm` nor helm-python-sdk is installed: `make manifests` installs it"

EVERYTHING: dict[str, Any] = {
    "image": {"repository": "registry.example.com/mine", "tag": "1", "pullSecrets": ["registry"]},
    "apiKey": {"existingSecret": "my-key"},
    "frontSettings": {"OS_WYOMING_ALLOWED_HOSTS": "192.168.1.20", "OS_TRUSTED_PROXIES": "10.244.1.0/24"},
    "settings": {"STT_DEVICE": "cuda"},
    "front": {
        "replicas": 2, "sharedState": True, "autoscaling": {"enabled": True}, "stopTimeoutSeconds": 120, "nodeSelector": {"disk": "fast"},
        "podAnnotations": {"prometheus.io/scrape": "true"},
    },
    "autoscaling": {"kind": "keda"},
    "runners": {
        "faster-whisper": {
            "image": {"repository": "registry.example.com/mine-cuda"}, "gpu": {"count": 1},
            "nodeSelector": {"nvidia.com/gpu.present": "true"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "autoscaling": {"kind": "keda", "maxReplicas": 3}, "settings": {"STT_COMPUTE_TYPE": "float16"},
        },
        "kokoro": {"autoscaling": {"kind": "none", "maxReplicas": 1}, "replicas": 2}, "piper": {"enabled": False},
        "llama": {
            "enabled": True, "task": "llm", "module": "llama", "replicas": 1, "autoscaling": {"kind": "keda", "maxReplicas": 2},
            "resources": {"requests": {"cpu": "2", "memory": "2Gi"}, "limits": {"memory": "4Gi"}},
        },
    },
    "storage": {"models": {"emptyDir": True}, "data": {"existingClaim": "shared"}},
    "wyoming": {"enabled": True, "sources": ["192.168.1.20/32"]},
    "ingress": {"enabled": True, "tlsSecret": "speech-tls"},
    "networkPolicy": {"otherNamespaces": ["monitoring"]},
}  # fmt: skip
"""Values that switch on what is off by default."""
DEFAULT = {"apiKey": {"value": "a-key"}}


class ChartError(Exception):
    """Helm refused the chart or its values."""


def values() -> dict[str, Any]:
    return read(CHART / "values.yaml")


def _sdk() -> Any:
    if importlib.util.find_spec("helm_python") is None:
        pytest.skip(NOT_INSTALLED)
    return importlib.import_module("helm_python")


def template(chosen: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Return the objects that `helm template` prints. Raises ChartError with Helm's message."""
    if program := shutil.which("helm"):
        file = folder / "values.json"
        file.write_text(json.dumps(chosen), encoding="utf-8")
        command = [program, "template", RELEASE, str(CHART), "--namespace", "speech", "--values", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        if done.returncode:
            raise ChartError(done.stderr)
        texts = [done.stdout]
    else:
        sdk = _sdk()
        chart = sdk.Chart.load(CHART)
        try:
            chart.validate_schema(chosen)
            found = chart.render(chosen, name=RELEASE, namespace="speech", is_install=True)
        except sdk.HelmError as refused:
            raise ChartError(str(refused)) from refused
        finally:
            chart.close()
        texts = [text for name, text in found.items() if name.endswith(".yaml")]
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


def lint(chosen: dict[str, Any], folder: Path) -> list[str]:
    """Return the errors and warnings of `helm lint`."""
    if program := shutil.which("helm"):
        file = folder / "values.json"
        file.write_text(json.dumps(chosen), encoding="utf-8")
        command = [program, "lint", str(CHART), "--strict", "--values", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("[ERROR]", "[WARNING]"))]
    found = _sdk().lint(CHART, chosen)
    return [*found["errors"], *(row["error"] for row in found["messages"] if row["severity"] > 1)]


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}
