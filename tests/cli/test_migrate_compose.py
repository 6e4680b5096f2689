from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from open_speech import config
from open_speech.cli._migrate_env import UnreadableFile
from open_speech.cli._migrate_settings import resolved
from open_speech.cli._migrate_yaml import Document, block, scalar

Run = Callable[..., Any]

OPEN_SPEECH = """
services:
  open-speech:
    image: jwindsor1/open-speech:latest
    build: {context: .}
    ports: ["${STT_PORT:-8100}:${STT_PORT:-8100}", "10400:10400/tcp", "53:53/udp"]
    restart: unless-stopped
    env_file: [.env]
    deploy:
      resources:
        reservations:
          devices:
            - driver: nvidia
              count: 1
              capabilities: [gpu]
    environment:
      - STT_DEFAULT_MODEL=${STT_DEFAULT_MODEL:-deepdml/faster-whisper-large-v3-turbo-ct2}
      - STT_PORT=${STT_PORT:-8100}
      - STT_STREAM_CHUNK_MS=2000
      - STT_API_KEY
      - NVIDIA_VISIBLE_DEVICES=all
    volumes:
      - hf-cache:/root/.cache/huggingface
      - vad-cache:/root/.cache/silero-vad
      - ./voices.yml:/config/voices.yml:ro
volumes:
  hf-cache:
  vad-cache:
"""
STACK = """
name: voice
services:
  wyoming_openai:
    image: ghcr.io/roryeckel/wyoming_openai:latest
    depends_on: [speaches, redis]
    ports: ["10300:10300"]
    environment: &shared
      WYOMING_URI: tcp://0.0.0.0:10300
      STT_OPENAI_URL: http://speaches:8000/v1
      STT_OPENAI_KEY: hush
      STT_MODELS: Systran/faster-distil-whisper-large-v3
      TTS_OPENAI_URL: https://tts.example.org/v1
      TTS_MODELS: tts-1
      TTS_VOICES: alloy echo
      TZ: UTC
  speaches:
    image: ghcr.io/speaches-ai/speaches:latest-cuda
    ports: ["127.0.0.1:8000:8000"]
    environment:
      - enable_ui=False
      - WHISPER__TTL=-1
      - API_KEY=hush
    volumes: ["hub:/home/ubuntu/.cache/huggingface/hub"]
    runtime: nvidia
  redis:
    image: redis
    read_only: true
    ports: [6379:6379]
  webui:
    image: open-webui
    environment: {AUDIO_STT_OPENAI_API_BASE_URL: "http://speaches:8000/v1"}
volumes:
  hub: {external: true}
networks:
  default: {name: voice}
"""


def migrate(run: Run, tmp_path: Path, text: str, *options: str) -> Any:
    file = tmp_path / "docker-compose.yml"
    file.write_text(text, encoding="utf-8")
    return run("migrate", str(file), *options)


def converted(run: Run, tmp_path: Path, text: str, *options: str) -> tuple[dict[str, Any], str]:
    result = migrate(run, tmp_path, text, *options)
    assert result.exit_code == 0, result.stderr
    data = yaml.safe_load(result.stdout)
    environ = {name: resolved(value) for name, value in data["services"]["open-speech"]["environment"].items() if value is not None}
    config.load({name: value for name, value in environ.items() if name in config.names()})
    return data, result.stdout


def test_open_speech_keeps_its_ports_references_and_cache(run: Run, tmp_path: Path) -> None:
    data, text = converted(run, tmp_path, OPEN_SPEECH)
    assert data["services"]["open-speech"] == {
        "image": "${OPEN_SPEECH_IMAGE:-open-speech-cuda:latest}",
        "restart": "unless-stopped",
        "env_file": [".env"],
        "deploy": yaml.safe_load(OPEN_SPEECH)["services"]["open-speech"]["deploy"],
        "ports": ["${OS_PORT:-8100}:${OS_PORT:-8100}", "10400:10400"],
        "environment": {
            "STT_MODEL": "${STT_MODEL:-deepdml/faster-whisper-large-v3-turbo-ct2}",
            "OS_PORT": "${OS_PORT:-8100}",
            "OS_API_KEY": None,
            "NVIDIA_VISIBLE_DEVICES": "all",
            "HF_HOME": "/hf-cache",
        },
        "volumes": ["hf-cache:/hf-cache:ro", "./voices.yml:/config/voices.yml:ro", "models:/models", "data:/data"],
    }
    assert data["volumes"] == {"hf-cache": None, "models": None, "data": None}
    for comment in (
        "# STT_STREAM_CHUNK_MS has no counterpart. Live audio is processed as it arrives",
        "# build is left out: the image is built by `make image`.",
        "# The port 53 of open-speech is left out: this server does not listen on it.",
        "# The volume at /root/.cache/silero-vad is left out",
        "# Convert these files, too: `open-speech migrate FILE`.",
    ):
        assert comment in text


def test_several_services_become_one_and_the_others_stay(run: Run, tmp_path: Path) -> None:
    data, text = converted(run, tmp_path, STACK)
    assert list(data) == ["name", "services", "volumes", "networks"]
    assert list(data["services"]) == ["open-speech", "redis", "webui"]
    assert data["services"]["redis"] == {"image": "redis", "read_only": True, "ports": yaml.safe_load("[6379:6379]")}
    ours = data["services"]["open-speech"]
    assert (ours["depends_on"], ours["runtime"]) == (["redis"], "nvidia")
    assert ours["ports"] == ["10300:10300", "127.0.0.1:8000:8100"]
    assert ours["environment"] == {
        "OS_WYOMING_URI": "tcp://0.0.0.0:10300", "OS_WYOMING_ENABLED": "true", "TTS_UPSTREAM_URL": "https://tts.example.org/v1",
        "TTS_UPSTREAM_MODELS": "tts-1", "TTS_UPSTREAM_VOICES": "alloy,echo", "TTS_BACKENDS": "upstream-tts", "TTS_MODEL": "upstream/tts-1",
        "TZ": "UTC", "OS_MODEL_TTL": "0", "OS_API_KEY": "hush", "HF_HUB_CACHE": "/hf-cache", "OS_SSL_ENABLED": "false",
    }  # fmt: skip
    assert data["volumes"] == {"hub": {"external": True}, "models": None, "data": None}
    assert data["networks"] == {"default": {"name": "voice"}}
    assert "# STT_OPENAI_URL is not needed: this server replaces that service, too, and uses its own backends." in text
    assert "# The service webui refers to a service that is replaced: the new address is http://open-speech:8100." in text
    assert "name the addresses that may connect in OS_WYOMING_ALLOWED_HOSTS" in text


def test_a_dependency_keeps_its_condition_and_a_second_value_of_a_key_is_a_comment(run: Run, tmp_path: Path) -> None:
    text = (
        "services:\n  asr:\n    image: voice-stack-asr\n    restart: always\n    depends_on: {db: {condition: service_healthy}, tts: {}}\n"
        "  tts:\n    image: voice-stack-tts\n    restart: 'no'\n  db: {image: postgres}\n"
    )
    data, written = converted(run, tmp_path, text)
    ours = data["services"]["open-speech"]
    assert (ours["restart"], ours["depends_on"]) == ("always", {"db": {"condition": "service_healthy"}})
    assert "# restart of tts is left out: another service has it, too." in written


def test_keys_are_in_no_message(run: Run, tmp_path: Path) -> None:
    result = migrate(run, tmp_path, STACK)
    assert "hush" not in result.stderr
    assert not any("hush" in line for line in result.stdout.splitlines() if "#" in line)


@pytest.mark.parametrize(
    ("image", "ports", "expected"),
    [
        ("voice-stack-asr", '"5001:5001"', ["5001:8100"]),
        ("ghcr.io/remsky/kokoro-fastapi-cpu:v0.8", "8880:8880", ["8880:8100"]),
        ("onerahmet/openai-whisper-asr-webservice:latest", '"9000"', ["8100"]),
        ("gemma-voice-api", '"[::1]:21250:6666"', ["[::1]:21250:8100"]),
        ("fedirz/faster-whisper-server:latest-cpu", "{target: 8000, published: 80, host_ip: 127.0.0.1}", ["127.0.0.1:80:8100"]),
        ("stt-server:cpu", '"${BIND:-127.0.0.1}:8100:8100"', ["${BIND:-127.0.0.1}:8100:8100"]),
    ],
)
def test_ports_lead_to_this_server(run: Run, tmp_path: Path, image: str, ports: str, expected: list[str]) -> None:
    data, _ = converted(run, tmp_path, f"services:\n  asr:\n    image: {image}\n    ports: [{ports}]\n")
    assert data["services"]["open-speech"]["ports"] == expected


def test_a_server_keeps_the_port_that_its_settings_name(run: Run, tmp_path: Path) -> None:
    text = "services:\n  tts:\n    image: kokoro-fastapi\n    ports: ['80:9999']\n    environment: {PORT: 9999, HOST: 0.0.0.0}\n"
    data, _ = converted(run, tmp_path, text)
    assert data["services"]["open-speech"]["ports"] == ["80:9999"]
    assert data["services"]["open-speech"]["environment"]["OS_PORT"] == "9999"


def test_the_voices_of_voice_stack_have_their_setting(run: Run, tmp_path: Path) -> None:
    text = "services:\n  tts:\n    build: .\n    environment: {TTS_MAX_CHARS: 180}\n    volumes: ['./voices:/app/voices']\n"
    ours = converted(run, tmp_path, text)[0]["services"]["open-speech"]
    assert ours["volumes"] == ["./voices:/voices:ro", "models:/models", "data:/data"]
    assert ours["environment"] == {"TTS_VOICE_DIR": "/voices", "OS_SSL_ENABLED": "false"}


def test_a_service_may_be_named_by_its_system(run: Run, tmp_path: Path) -> None:
    text = "services:\n  x:\n    image: registry.local/tts:1\n    environment: [PORT=8880]\n"
    refused = migrate(run, tmp_path, text)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.endswith("found no service that this server replaces; `--from` names its system. Services: x.\n")
    data, _ = converted(run, tmp_path, text, "--from", "kokoro-fastapi")
    assert data["services"]["open-speech"]["environment"]["OS_PORT"] == "8880"


def test_merge_keys_are_resolved(run: Run, tmp_path: Path) -> None:
    text = "x-env: &env {STT_PORT: 9000, STT_DEVICE: cpu}\nservices:\n  open-speech:\n    environment: {<<: *env, STT_DEVICE: cuda}\n"
    data, _ = converted(run, tmp_path, text)
    assert data["services"]["open-speech"]["environment"] == {"OS_PORT": "9000", "STT_DEVICE": "cuda"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services:\n  a: [s3cret\n", "docker-compose.yml: line 3: invalid YAML."),
        ("services: !!python/object:os.system s3cret\n", "a compose file has a map `services`"),
        ("services: []\n", "a compose file has a map `services`"),
        ("services: {a: s3cret}\n", "a compose file has a map `services`"),
        ("a\n", "a compose file has a map `services`"),
        ("", "a compose file has a map `services`"),
        ("services: {web: {image: nginx, environment: {KEY: s3cret}}}\n", "found no service that this server replaces"),
        ("services:\n  open-speech:\n    environment: {STT_PORT: high}\n", "would not start with the result. OS_PORT='high'"),
    ],
)
def test_a_file_that_cannot_be_converted_is_one_line(run: Run, tmp_path: Path, text: str, message: str) -> None:
    result = migrate(run, tmp_path, text)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "s3cret" not in result.stderr


def test_yaml_that_stands_for_more_than_it_has_is_refused() -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" if n else "a0: &a0 [x]" for n in range(9))
    with pytest.raises(UnreadableFile, match="more than 50000 values"):
        Document(levels)
    for circle in ("a: &a [*a]", "[" * 100_000):
        with pytest.raises(UnreadableFile):
            Document(circle)


@pytest.mark.parametrize(
    "text", ["yes", "1", "1e3", "0x10", "null", "~", "a: b", "a # b", "", "é", "12:30", "-", "a/b.d", "*", "'", '"', "\\"]
)
def test_a_scalar_is_read_as_the_text_that_it_was(text: str) -> None:
    assert yaml.safe_load(scalar(text)) == text


@pytest.mark.parametrize("value", ["x", "{a: 1}", "[1, 2]", "- a\n- b\n", "a: 1\n", "a:\n  - b\n", '"a: b"', "''", "12", "null"])
def test_a_block_has_the_value_that_was_copied(value: str) -> None:
    assert yaml.safe_load(block("k", value, 2)) == {"k": yaml.safe_load(value)}
