"""deploy/bentocloud.yaml: the services of the Bento, settings of the server, and fields that BentoML knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attr
from bentoml._internal.cloud.deployment import DeploymentConfigParameters
from bentoml._internal.cloud.schemas.modelschemas import DeploymentServiceConfig, DeploymentTargetHPAConf, HPAPolicy

from open_speech import config
from runners.wiring.bento_front import offered
from tests.manifests import read

ROOT = Path(__file__).parent.parent.parent
FILE = read(ROOT / "deploy/bentocloud.yaml")


def fields(kind: Any) -> set[str]:
    return {field.name for field in attr.fields(kind)}


def test_every_service_of_the_bento_is_in_it() -> None:
    assert set(FILE["services"]) == {"open_speech", *offered()}
    assert FILE["bento"].partition(":")[0] == read(ROOT / "bentofile.yaml")["name"]


def test_its_fields_are_those_of_bentoml() -> None:
    assert set(FILE) - {"services"} <= fields(DeploymentConfigParameters)
    for service in FILE["services"].values():
        assert set(service) <= fields(DeploymentServiceConfig)
        assert set(service["scaling"]) <= fields(DeploymentTargetHPAConf)
        assert set(service["scaling"].get("policy", {})) <= fields(HPAPolicy)
        assert service["scaling"]["max_replicas"] >= max(1, service["scaling"]["min_replicas"])


def test_what_the_default_settings_use_has_replicas_and_one_front() -> None:
    scaling = {name: service["scaling"] for name, service in FILE["services"].items()}
    assert [name for name, one in scaling.items() if one["min_replicas"]] == ["open_speech", "faster_whisper", "kokoro", "piper"]
    assert scaling["open_speech"]["max_replicas"] == 1


def test_its_settings_start_a_server() -> None:
    environ = {row["name"]: row["value"] for row in FILE["envs"]}
    settings = config.load(environ | {"OS_API_KEY": "a-key"})
    assert {name.partition("@")[0] for name in (*settings.stt_backends, *settings.tts_backends)} == {"faster-whisper", "kokoro", "piper"}
    assert settings.language_backends == ()
