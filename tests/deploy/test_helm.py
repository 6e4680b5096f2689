"""The Helm chart in deploy/helm: its values fit the server and its schema, and what it renders fits together."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from open_speech import __version__, config
from open_speech.config import Settings
from open_speech.dispatch.admission import Queue
from open_speech.metrics.backends import of_lines
from runners import catalog
from runners.catalog.placement import plan
from tests.deploy.charts import CHART, DEFAULT, EVERYTHING, RELEASE, ChartError, lint, of_kind, template, values
from tests.manifests import K8S, container, labels, pod, read, runners

BOTH = pytest.mark.parametrize("chosen", [DEFAULT, EVERYTHING], ids=["default", "everything"])


def environment(objects: list[dict[str, Any]], deployment: dict[str, Any]) -> dict[str, str]:
    """The settings of a deployment's container; the key of a secret that is not of the chart is put in."""
    sources = of_kind(objects, "ConfigMap") | of_kind(objects, "Secret")
    found: dict[str, str] = {}
    for source in container(deployment)["envFrom"]:
        ((_, reference),) = source.items()
        one = sources.get(reference["name"], {"stringData": {"OS_API_KEY": "a-key"}})
        found |= one.get("data", {}) | one.get("stringData", {})
    return found | {row["name"]: row["value"] for row in container(deployment).get("env", ())}


def selected(objects: list[dict[str, Any]], selector: dict[str, str]) -> list[str]:
    return [name for name, one in of_kind(objects, "Deployment").items() if selector.items() <= labels(one).items()]


# -- without Helm


def test_the_versions_are_that_of_the_server() -> None:
    chart = read(CHART / "Chart.yaml")
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_the_settings_of_the_values_are_settings_of_the_server() -> None:
    found = values()
    config.load({**found["settings"], **found["frontSettings"], "OS_API_KEY": "a-key"})
    (kustomized,) = [one for one in _k8s("ConfigMap") if one["metadata"]["name"] == "open-speech-settings"]
    assert found["settings"] == kustomized["data"]


def test_the_runners_are_backends_and_those_of_the_manifests() -> None:
    found = values()["runners"]
    backends = {entry.name: entry for entry in catalog.BACKENDS}
    for name, runner in found.items():
        assert (backends[name].module, backends[name].task.name.lower()) == (f"runners.{runner['module']}", runner["task"])
    theirs = {name.removeprefix("open-speech-"): one for name, one in runners().items()}
    assert {name: container(one)["resources"] for name, one in theirs.items()} == {name: one["resources"] for name, one in found.items()}
    scaled = {one["spec"]["scaleTargetRef"]["name"]: one["spec"]["maxReplicas"] for one in _k8s("HorizontalPodAutoscaler")}
    assert {f"open-speech-{name}": one["autoscaling"]["maxReplicas"] for name, one in found.items()} == scaled


def _k8s(kind: str) -> list[dict[str, Any]]:
    return [
        one for path in sorted(K8S.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one["kind"] == kind
    ]


def test_the_query_of_keda_asks_for_a_metric_of_the_server() -> None:
    query = values()["autoscaling"]["keda"]["query"]
    ((metric, labels_of_query),) = re.findall(r"(open_speech_\w+)\{(.*)\}", query)
    assert labels_of_query == 'backend="BACKEND"'
    samples = {sample.name: sample for family in of_lines({"kokoro": Queue(under_way=3)}) for sample in family.samples}
    assert (samples[metric].labels, samples[metric].value) == ({"backend": "kokoro"}, 3)


def test_the_values_fit_their_schema_and_a_misspelled_one_does_not() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(values(), schema)
    for wrong in ({"image": {"repo": "x"}}, {"settings": {"OS_PORT": 8100}}, {"front": {"replicas": 0}}, {"runners": {"kokoro": {}}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


# -- with Helm


@BOTH
def test_helm_finds_no_fault(chosen: dict[str, Any], tmp_path: Path) -> None:
    assert lint(chosen, tmp_path) == []


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ({}, "apiKey.value"), ({**DEFAULT, "front": {"replicas": 2}}, "sharedState"),
        ({**DEFAULT, "front": {"autoscaling": {"enabled": True}}}, "sharedState"),
        ({**DEFAULT, "wyoming": {"enabled": True}}, "wyoming.sources"), ({**DEFAULT, "fronts": {}}, "fronts"),
    ],
)  # fmt: skip
def test_values_that_would_not_work_are_refused(chosen: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ChartError, match=reason):
        template(chosen, tmp_path)


@BOTH
def test_every_selector_finds_one_deployment_and_every_service_an_open_port(chosen: dict[str, Any], tmp_path: Path) -> None:
    objects = template(chosen, tmp_path)
    for name, one in of_kind(objects, "Deployment").items():
        assert selected(objects, one["spec"]["selector"]["matchLabels"]) == [name]
    for kind in ("Service", "PodDisruptionBudget"):
        for one in of_kind(objects, kind).values():
            selector = one["spec"]["selector"]
            assert len(selected(objects, selector.get("matchLabels", selector))) == 1
    for one in of_kind(objects, "Service").values():
        (name,) = selected(objects, one["spec"]["selector"])
        ports = {port["name"] for port in container(of_kind(objects, "Deployment")[name])["ports"]}
        assert {port["targetPort"] for port in one["spec"]["ports"]} <= ports
    scaled = {**of_kind(objects, "HorizontalPodAutoscaler"), **of_kind(objects, "ScaledObject")}
    assert {one["spec"]["scaleTargetRef"]["name"] for one in scaled.values()} <= set(of_kind(objects, "Deployment"))


@BOTH
def test_the_front_starts_and_calls_the_runners_of_the_release(chosen: dict[str, Any], tmp_path: Path) -> None:
    objects = template(chosen, tmp_path)
    settings = config.load(environment(objects, of_kind(objects, "Deployment")[f"{RELEASE}-front"]))
    called = {}
    for placement in plan(settings):
        service = of_kind(objects, "Service")[str(urlsplit(placement.where).hostname)]
        (name,) = selected(objects, service["spec"]["selector"])
        called[name] = container(of_kind(objects, "Deployment")[name])["command"][2]
        assert called[name] == f"{placement.backend.module}:Runner"
    assert set(called) == {
        name for name, one in of_kind(objects, "Deployment").items() if labels(one)["app.kubernetes.io/component"] == "runner"
    }
    for name in called:
        config.load(environment(objects, of_kind(objects, "Deployment")[name]))


@BOTH
def test_a_pod_can_do_no_more_than_it_needs_and_stops_without_losing_requests(chosen: dict[str, Any], tmp_path: Path) -> None:
    objects = template(chosen, tmp_path)
    for name, one in of_kind(objects, "Deployment").items():
        whole, inner = pod(one), container(one)
        assert whole["securityContext"]["runAsNonRoot"] is True
        assert (whole["automountServiceAccountToken"], whole["enableServiceLinks"]) == (False, False)
        assert inner["securityContext"]["readOnlyRootFilesystem"] is True
        assert inner["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {volume["name"] for volume in whole["volumes"]} == {mount["name"] for mount in inner["volumeMounts"]}
        assert [inner[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")] == [
            "/livez",
            "/livez",
            "/readyz",
        ]
        pause = int(inner["lifecycle"]["preStop"]["exec"]["command"][1])
        if name == f"{RELEASE}-front":
            stop_s = config.load(environment(objects, one)).os_stop_timeout_s
            assert whole["terminationGracePeriodSeconds"] >= stop_s + pause + 10
        else:
            assert whole["terminationGracePeriodSeconds"] > pause
            assert one["spec"]["strategy"]["rollingUpdate"] in ({"maxUnavailable": 0, "maxSurge": 1}, {"maxUnavailable": 1, "maxSurge": 0})


@BOTH
def test_only_the_ingress_controller_reaches_the_front_and_only_the_front_the_runners(chosen: dict[str, Any], tmp_path: Path) -> None:
    objects = template(chosen, tmp_path)
    policies = of_kind(objects, "NetworkPolicy")
    reached = {name: selected(objects, one["spec"]["podSelector"]["matchLabels"]) for name, one in policies.items()}
    assert sorted(name for names in reached.values() for name in names) == sorted(of_kind(objects, "Deployment"))
    (rule,) = policies[f"{RELEASE}-runners"]["spec"]["ingress"]
    assert [selected(objects, source["podSelector"]["matchLabels"]) for source in rule["from"]] == [[f"{RELEASE}-front"]]
    sources = [source for rule in policies[f"{RELEASE}-front"]["spec"]["ingress"] for source in rule["from"]]
    assert all(source.get("namespaceSelector", source.get("ipBlock")) for source in sources)  # an empty selector is every namespace
    wyoming = [port["port"] for rule in policies[f"{RELEASE}-front"]["spec"]["ingress"] for port in rule["ports"] if port["port"] != 8100]
    assert wyoming == ([Settings().os_wyoming_port] if chosen is EVERYTHING else [])


def test_one_front_is_replaced_and_several_take_turns(tmp_path: Path) -> None:
    one, several = (of_kind(template(chosen, tmp_path), "Deployment")[f"{RELEASE}-front"]["spec"] for chosen in (DEFAULT, EVERYTHING))
    assert (one["replicas"], one["strategy"]) == (1, {"type": "Recreate"})
    assert several["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert "replicas" not in several  # the autoscaler's, which an update must not reset


def test_runners_scale_as_their_values_say(tmp_path: Path) -> None:
    usual, chosen = template(DEFAULT, tmp_path), template(EVERYTHING, tmp_path)
    assert sorted(of_kind(usual, "HorizontalPodAutoscaler")) == [f"{RELEASE}-{name}" for name in ("faster-whisper", "kokoro", "piper")]
    assert of_kind(usual, "ScaledObject") == {}
    found = of_kind(chosen, "ScaledObject")
    assert sorted(found) == [f"{RELEASE}-faster-whisper", f"{RELEASE}-llama"]
    spec = found[f"{RELEASE}-faster-whisper"]["spec"]
    (trigger,) = spec["triggers"]
    assert trigger["type"] == "prometheus"
    assert trigger["metadata"]["query"] == 'sum(open_speech_queue_under_way{backend="faster-whisper"})'
    assert all(isinstance(value, str) for value in trigger["metadata"].values())  # KEDA accepts no numbers there
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 3)
    assert of_kind(chosen, "Deployment")[f"{RELEASE}-kokoro"]["spec"]["replicas"] == 2


def test_a_gpu_is_reserved_where_there_is_one(tmp_path: Path) -> None:
    deployment = of_kind(template(EVERYTHING, tmp_path), "Deployment")[f"{RELEASE}-faster-whisper"]
    assert container(deployment)["image"] == "registry.example.com/mine-cuda:1"
    assert container(deployment)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert pod(deployment)["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod(deployment)["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_claims_are_made_unless_they_are_named(tmp_path: Path) -> None:
    assert sorted(of_kind(template(DEFAULT, tmp_path), "PersistentVolumeClaim")) == [f"{RELEASE}-data", f"{RELEASE}-models"]
    objects = template(EVERYTHING, tmp_path)
    assert of_kind(objects, "PersistentVolumeClaim") == {}
    volumes = {volume["name"]: volume for volume in pod(of_kind(objects, "Deployment")[f"{RELEASE}-front"])["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "shared"}
