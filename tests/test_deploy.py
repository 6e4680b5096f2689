"""What is in deploy/ fits the server and fits together: images, compose files, Kubernetes manifests, systemd units."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from open_speech import config
from open_speech.config import Settings
from runners import catalog
from runners.catalog.placement import plan
from runners.wiring.wyoming_gateway import check
from tests.manifests import K8S, container, environment, front, manifests, pod, read, runners, selected_by
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
USER = 1034


# -- compose


def service() -> dict[str, Any]:
    found: dict[str, Any] = read(DEPLOY / "compose.yaml")["services"]["server"]
    return found


def test_compose_takes_everything_from_the_container_that_it_does_not_need() -> None:
    server = service()
    assert server["user"] == f"{USER}:{USER}"
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert server["security_opt"] == ["no-new-privileges:true"]
    assert server["pids_limit"] > 0
    assert set(server["logging"]["options"]) == {"max-size", "max-file"}
    assert server["restart"] == "unless-stopped"
    assert server["healthcheck"]["test"] == ["CMD", "healthcheck"]


def test_compose_names_settings_ports_and_folders_that_there_are() -> None:
    server, settings = service(), Settings()
    assert set(server["environment"]) <= set(config.names())
    assert [int(port.rpartition(":")[2]) for port in server["ports"]] == [settings.os_port, settings.os_wyoming_port]
    assert all(port.startswith("${OS_BIND:-127.0.0.1}:") for port in server["ports"])
    folders = dict(volume.split(":") for volume in server["volumes"])
    assert set(folders) == set(read(DEPLOY / "compose.yaml")["volumes"])
    assert all(f" {folder}" in CONTAINERFILE for folder in folders.values())


def test_compose_waits_for_accepted_requests_before_it_kills() -> None:
    assert int(service()["stop_grace_period"].removesuffix("s")) >= Settings().os_stop_timeout_s + 10


def test_compose_for_a_gpu_changes_the_image_and_reserves_one() -> None:
    server = read(DEPLOY / "compose.gpu.yaml")["services"]["server"]
    assert set(server) == {"image", "environment", "deploy"}
    assert set(server["environment"]) <= set(config.names())
    (device,) = server["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_compose_for_an_amd_gpu_changes_the_image_and_opens_the_devices_of_rocm() -> None:
    server = read(DEPLOY / "compose.rocm.yaml")["services"]["server"]
    assert set(server) == {"image", "environment", "devices", "group_add"}
    assert config.load(server["environment"]).stt_device == "cuda"  # CTranslate2 calls AMD's GPUs so
    assert [device.partition(":")[0] for device in server["devices"]] == ["/dev/kfd", "/dev/dri"]


def test_the_image_for_amd_gpus_is_the_cpu_image_with_the_tested_ctranslate2() -> None:
    recipe = (DEPLOY / "rocm/Containerfile").read_text(encoding="utf-8")
    assert "ARG IMAGE=open-speech:latest\nFROM ${IMAGE}" in recipe
    assert recipe.rstrip().endswith(f"USER {USER}:{USER}")
    assert set(re.findall(r"python(3\.\d+)/site-packages", recipe)) == set(re.findall(r"python(3\.\d+)/site-packages", CONTAINERFILE))
    planned = image("VARIANT=rocm")
    (tested,) = re.findall(r"^ctranslate2==(.*)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"--build-arg CTRANSLATE2={tested}" in planned
    assert f"/v{tested}/rocm-python-wheels-Linux.zip" in planned
    assert planned.index("-f deploy/Containerfile -t open-speech:latest") < planned.index(
        "-f deploy/rocm/Containerfile -t open-speech-rocm:latest"
    )


@pytest.mark.parametrize(("variant", "name"), [("cpu", "open-speech"), ("cuda", "open-speech-cuda")])
def test_each_variant_has_an_image_of_its_own_for_the_platform_that_is_named(variant: str, name: str) -> None:
    planned = image(f"VARIANT={variant}", "PLATFORM=linux/arm64")
    assert f"containerize {name}:latest --backend podman -t {name}-bento:latest --opt platform=linux/arm64" in planned
    assert f"podman build --platform linux/arm64 -f deploy/Containerfile -t {name}:latest" in planned
    assert "platform" not in image(f"VARIANT={variant}")


def image(*variables: str) -> str:
    """What `make image` would run, each command on one line."""
    command = ["make", "--dry-run", "--always-make", "image", "ENGINE=podman", *variables]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout
    return re.sub(r" *\\\n\s*", " ", planned)


# -- Kubernetes


def test_every_manifest_is_in_the_kustomization_and_no_namespace_is_in_a_manifest() -> None:
    listed = read(K8S / "kustomization.yaml")["resources"]
    assert sorted(listed) == sorted(path.name for path in K8S.glob("*.yaml") if path.name != "kustomization.yaml")
    assert "namespace:" not in "".join((K8S / name).read_text(encoding="utf-8") for name in listed)


def test_the_image_is_named_in_the_kustomization_alone() -> None:
    (image,) = read(K8S / "kustomization.yaml")["images"]
    assert {container(deployment)["image"] for deployment in manifests("Deployment").values()} == {image["name"]}


def test_every_selector_finds_one_deployment() -> None:
    for name, deployment in manifests("Deployment").items():
        assert selected_by(deployment["spec"]["selector"]["matchLabels"]) == [name]
    for kind in ("Service", "PodDisruptionBudget"):
        for one in manifests(kind).values():
            selector = one["spec"]["selector"]
            assert len(selected_by(selector.get("matchLabels", selector))) == 1
    for one in manifests("HorizontalPodAutoscaler").values():
        assert one["spec"]["scaleTargetRef"]["name"] in runners()


def test_every_deployment_has_a_policy_of_who_may_connect() -> None:
    chosen = [name for one in manifests("NetworkPolicy").values() for name in selected_by(one["spec"]["podSelector"]["matchLabels"])]
    assert sorted(chosen) == sorted(manifests("Deployment"))
    assert all(one["spec"]["policyTypes"] == ["Ingress"] for one in manifests("NetworkPolicy").values())


def test_no_pod_but_the_ingress_controllers_may_reach_the_front() -> None:
    (rule,) = manifests("NetworkPolicy")["open-speech-front"]["spec"]["ingress"]
    (source,) = rule["from"]
    assert set(source) == {"namespaceSelector"}
    assert source["namespaceSelector"]["matchLabels"]  # an empty selector is every namespace
    assert [port["port"] for port in rule["ports"]] == [Settings().os_port]


def test_wyoming_is_off_and_its_port_is_closed_until_hosts_are_named() -> None:
    environ = environment(front())
    settings = config.load(environ | {"OS_API_KEY": "a-key"})
    assert (settings.os_wyoming_enabled, settings.os_wyoming_allowed_hosts) == (False, ())
    ports = [port for one in manifests("Service").values() for port in one["spec"]["ports"]]
    assert "wyoming" not in {port["name"] for port in (*ports, *container(front())["ports"])}


def test_no_address_is_believed_but_the_ingress_controllers() -> None:
    for deployment in manifests("Deployment").values():
        environ = environment(deployment)
        assert environ.get("OS_TRUST_PROXY", "0") == "0" or environ.get("OS_TRUSTED_PROXIES")


def test_requests_of_a_cluster_have_only_listed_models_downloaded() -> None:
    for deployment in manifests("Deployment").values():
        assert not config.load(environment(deployment) | {"OS_API_KEY": "a-key"}).pulls.allows("acme/whisper")


def test_compose_and_systemd_believe_no_proxy_and_serve_no_wyoming_to_everybody() -> None:
    environ = service()["environment"]
    assert "OS_TRUST_PROXY" not in environ
    assert environ["OS_WYOMING_ENABLED"] == "${OS_WYOMING_ENABLED:-false}"
    units = "".join(unit.read_text(encoding="utf-8") for unit in UNITS)
    assert not re.search(r"OS_(TRUST_PROXY|WYOMING_\w+|HOST)=", units)
    assert "BENTOML_HOST=127.0.0.1" in units


@pytest.mark.parametrize(
    ("environ", "starts"),
    [
        ({"OS_WYOMING_HOST": "0.0.0.0"}, False), ({"OS_WYOMING_HOST": "0.0.0.0", "OS_WYOMING_ALLOWED_HOSTS": "192.168.1.20"}, True),
        ({"OS_WYOMING_HOST": "0.0.0.0", "OS_WYOMING_ALLOWED_HOSTS": "0.0.0.0/0,::/0"}, True), ({}, True),
        ({"OS_WYOMING_URI": "tcp://[::]:10400"}, False), ({"OS_WYOMING_URI": "unix:///tmp/wyoming"}, True),
        ({"OS_WYOMING_HOST": "0.0.0.0", "OS_API_KEY": ""}, True), ({"OS_WYOMING_HOST": "nas.lan"}, False),
    ],
)  # fmt: skip
def test_wyoming_gets_nobody_past_the_key_by_mistake(environ: dict[str, str], starts: bool) -> None:
    base = {"OS_API_KEY": "a-key", "OS_WYOMING_ENABLED": "true", "STT_BACKENDS": "tones-stt", "TTS_BACKENDS": ""}
    settings = config.load(base | environ)
    if starts:
        check(settings)
    else:
        with pytest.raises(config.SettingsError, match="OS_WYOMING_ALLOWED_HOSTS"):
            check(settings)


def test_only_the_front_may_reach_the_runners() -> None:
    policy = manifests("NetworkPolicy")["open-speech-runners"]
    assert set(selected_by(policy["spec"]["podSelector"]["matchLabels"])) == set(runners())
    (rule,) = policy["spec"]["ingress"]
    assert [selected_by(source["podSelector"]["matchLabels"]) for source in rule["from"]] == [["open-speech-front"]]
    assert [port["port"] for port in rule["ports"]] == [3000]


def test_services_lead_to_ports_that_are_open_and_probes_ask_them() -> None:
    for one in manifests("Service").values():
        (name,) = selected_by(one["spec"]["selector"])
        open_ports = {port["name"]: port["containerPort"] for port in container(manifests("Deployment")[name])["ports"]}
        assert {port["targetPort"] for port in one["spec"]["ports"]} == set(open_ports)
    for deployment in manifests("Deployment").values():
        asked = container(deployment)
        paths = [asked[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
        assert paths == ["/livez", "/livez", "/readyz"]
        assert {asked[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")} == {"http"}


def test_the_front_listens_where_its_manifest_says() -> None:
    settings = Settings()
    ports = {port["name"]: port["containerPort"] for port in container(front())["ports"]}
    assert ports == {"http": settings.os_port}
    assert pod(front())["terminationGracePeriodSeconds"] >= settings.os_stop_timeout_s + 10


def test_the_settings_in_the_manifests_are_valid_and_lead_to_the_runners_of_the_set() -> None:
    environ = environment(front())
    assert environ["OS_API_KEY"] == ""  # nobody runs with a key that is public
    with pytest.raises(config.SettingsError, match="OS_AUTH_REQUIRED"):
        config.load(environ)
    placements = plan(config.load(environ | {"OS_API_KEY": "a-key"}))
    asked = {}
    for placement in placements:
        url = urlsplit(placement.where)
        assert (url.scheme, placement.is_fleet) == ("dns+http", True)
        assert url.hostname is not None
        one = manifests("Service")[url.hostname]
        assert one["spec"]["clusterIP"] == "None"  # the name stands for every pod
        assert all(port["port"] == port_of(one, port["targetPort"]) for port in one["spec"]["ports"]), "such a service translates no ports"
        assert url.port in [port["port"] for port in one["spec"]["ports"]]
        (asked[placement.backend.module],) = selected_by(one["spec"]["selector"])
    assert asked == {module_of(deployment): name for name, deployment in runners().items()}


def port_of(service: dict[str, Any], name: str) -> int:
    """The number of a named port of the pods behind a service."""
    (deployment,) = selected_by(service["spec"]["selector"])
    return next(int(port["containerPort"]) for port in container(manifests("Deployment")[deployment])["ports"] if port["name"] == name)


def module_of(deployment: dict[str, Any]) -> str:
    """The module that a runner's command serves."""
    command = container(deployment)["command"]
    assert command[:2] == ["bentoml", "serve"]
    module, _, service = command[2].partition(":")
    assert service == "Runner"
    assert module in {entry.module for entry in catalog.BACKENDS}
    assert command[command.index("--port") + 1] == str(container(deployment)["ports"][0]["containerPort"])
    return str(module)


def test_runners_have_settings_that_exist() -> None:
    for deployment in runners().values():
        config.load(environment(deployment))


def test_no_pod_can_do_more_than_it_needs() -> None:
    for deployment in manifests("Deployment").values():
        whole, inner = pod(deployment), container(deployment)
        assert whole["securityContext"]["runAsNonRoot"] is True
        assert whole["securityContext"]["runAsUser"] == whole["securityContext"]["fsGroup"] == USER
        assert whole["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert whole["automountServiceAccountToken"] is False
        assert whole["enableServiceLinks"] is False
        assert inner["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert set(inner["resources"]) == {"requests", "limits"}


def test_every_volume_is_mounted_and_every_claim_is_there() -> None:
    claimed = set()
    for deployment in manifests("Deployment").values():
        volumes = pod(deployment)["volumes"]
        mounted = {mount["name"]: mount["mountPath"] for mount in container(deployment)["volumeMounts"]}
        assert {volume["name"] for volume in volumes} == set(mounted)
        assert {"/data", "/tmp"} <= set(mounted.values())
        claimed |= {volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume}
    assert claimed == set(manifests("PersistentVolumeClaim"))


# -- systemd


def directives(unit: Path) -> Iterator[tuple[str, str]]:
    for line in unit.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            yield name, value


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_sets_settings_that_exist_and_stops_the_first_process_first(unit: Path) -> None:
    said = list(directives(unit))
    named = {word.partition("=")[0] for name, value in said if name == "Environment" for word in value.split()}
    assert "OS_MODELS_DIR" in named
    assert {name for name in named if name.startswith(config.PREFIXES)} <= set(config.names())
    once = dict(said)
    assert once["KillMode"] == "mixed"
    assert int(once["TimeoutStopSec"]) >= Settings().os_stop_timeout_s + 10


def test_the_units_are_hardened_alike() -> None:
    server, runner = (set(directives(unit)) for unit in reversed(UNITS))
    hardening = [("ProtectSystem", "strict"), ("DynamicUser", "yes"), ("NoNewPrivileges", "yes"), ("CapabilityBoundingSet", "")]
    assert set(hardening) <= server & runner
    assert {name for name, _ in server ^ runner} <= {
        "Description", "Documentation", "Before", "Environment", "EnvironmentFile", "ExecStart", "TimeoutStopSec",
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        # What they start is not installed here, and systemd looks.
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(encoding="utf-8"), flags=re.MULTILINE)
        (tmp_path / unit.name.replace("@", "@piper")).write_text(text, encoding="utf-8")
    checked = subprocess.run(
        ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
