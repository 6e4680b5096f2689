"""The images: their recipes, and what the commands of the Makefile build."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from open_speech import config
from open_speech.config import Settings
from tests.manifests import read
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
USER = 1034


def test_the_image_for_gpus_differs_from_the_one_for_cpus_in_its_packages_only() -> None:
    cpu, cuda = read(ROOT / "bentofile.yaml"), read(ROOT / "bentofile.cuda.yaml")
    del cpu["python"]["requirements_txt"], cuda["python"]["packages"]
    assert (cpu.pop("name"), cuda.pop("name")) == ("open-speech", "open-speech-cuda")
    assert (cpu.pop("args"), cuda.pop("args")) == ({"variant": "cpu"}, {"variant": "cuda"})
    assert cpu == cuda


def test_the_image_without_gpl_differs_in_its_packages_and_its_voices() -> None:
    cpu, free = read(ROOT / "bentofile.yaml"), read(ROOT / "bentofile.free.yaml")
    assert (cpu["python"].pop("requirements_txt"), free["python"].pop("requirements_txt")) == (
        "deploy/requirements.txt", "deploy/requirements-free.txt",
    )  # fmt: skip
    assert (cpu.pop("name"), free.pop("name")) == ("open-speech", "open-speech-free")
    assert (cpu.pop("args"), free.pop("args")) == ({"variant": "cpu"}, {"variant": "free"})
    voices = {"name": "TTS_BACKENDS", "value": "kokoro,hibari"}
    assert [env for env in free["envs"] if env not in cpu["envs"]] == [voices]
    free["envs"].remove(voices)
    assert cpu == free


def test_the_images_speak_with_the_default_backends_or_without_gpl() -> None:
    assert f"ARG TTS_BACKENDS={','.join(Settings().tts_backends)}\n" in CONTAINERFILE
    recipe = made("image", "VARIANT=free")
    assert "bentofile.free.yaml" in recipe
    assert "containerize open-speech-free:latest" in recipe
    assert "--build-arg TTS_BACKENDS=kokoro,hibari --build-arg CODECS=free" in recipe
    assert "TTS_BACKENDS" not in made("image") + made("image", "VARIANT=cuda")
    assert "-f bentofile.cuda.yaml" in made("image", "VARIANT=cuda")
    assert "-f bentofile.yaml" in made("image")


def made(*arguments: str) -> str:
    """Return the commands that make would run."""
    command = ["make", "--dry-run", "--no-print-directory", "--always-make", "ENGINE=podman", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout


def test_one_python_is_named_everywhere() -> None:
    version = read(ROOT / "bentofile.yaml")["docker"]["python_version"]
    assert f"ARG BASE=python:{version}-slim" in CONTAINERFILE
    assert f"python:{version}-slim" in (DEPLOY / "test/image_test.sh").read_text(encoding="utf-8")
    assert set(re.findall(r"python(3\.\d+)/site-packages", CONTAINERFILE)) == {version}


def test_every_setting_of_the_images_is_one() -> None:
    bento = {env["name"] for env in read(ROOT / "bentofile.yaml")["envs"]}
    image = set(re.findall(r"^(?:ENV|   ) +([A-Z_]+)=", CONTAINERFILE, re.MULTILINE))
    assert "OS_HOST" in bento & image
    assert {name for name in bento | image if name.startswith(config.PREFIXES)} <= set(config.names())


def test_the_image_holds_what_it_copies_and_opens_the_ports_of_the_server() -> None:
    ours = [line.split()[1:-1] for line in CONTAINERFILE.splitlines() if line.startswith("COPY") and "--from" not in line]
    assert [name for names in ours for name in names if not (DEPLOY / name).stat().st_mode & 0o111] == []
    settings = Settings()
    assert f"EXPOSE {settings.os_port} {settings.os_wyoming_port}" in CONTAINERFILE
    assert f"USER {USER}:{USER}" in CONTAINERFILE


def test_a_healthcheck_says_yes_of_a_server_that_is_ready_and_no_of_none(tones_upstream: str) -> None:
    assert healthcheck(OS_PORT=str(urlsplit(tones_upstream).port), OS_SSL_ENABLED="false") == 0
    assert healthcheck(OS_PORT=str(urlsplit(tones_upstream).port)) == 0
    assert healthcheck(tones_upstream) == 0
    assert healthcheck(OS_PORT="1") == 1
    assert healthcheck("tcp://127.0.0.1:1") == 1


def healthcheck(*arguments: str, **environ: str) -> int:
    command = [sys.executable, "-I", str(DEPLOY / "healthcheck"), *arguments]
    return subprocess.run(command, env=environ, timeout=PATIENCE_S, check=False, stderr=subprocess.DEVNULL).returncode
