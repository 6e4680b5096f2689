from __future__ import annotations

import importlib.util

import pytest

from open_speech import config
from runners import catalog
from runners.host.environment import handed_over, is_secret, needs

SECRETS = {
    "OS_API_KEY": "phone:one,two",
    "OS_SIGNING_KEYS": "the-signing-key-of-this-test-number-fourteen",
    "OS_REDIS_URL": "redis://:fifteen@cache:6379",
    "OS_DATABASE_URL": "postgresql://jobs:sixteen@database/jobs",
    "OS_WEBHOOK_SECRET": "three",
    "LLM_API_KEY": "four",
    "STT_UPSTREAM_API_KEY": "five",
    "TTS_UPSTREAM_API_KEY": "six",
    "OPENAUDIO_API_KEY": "seven",
    "OS_DEEPGRAM_API_KEY": "eleven",
    "OS_ELEVENLABS_API_KEY": "twelve",
    "OS_CARTESIA_API_KEY": "thirteen",
    "HF_TOKEN": "eight",
    "PIP_EXTRA_INDEX_URL": "https://user:nine@packages.example.org/simple",
}
PLAIN = {"PATH": "/bin", "HTTPS_PROXY": "http://user:ten@proxy:3128", "OS_AUTH_REQUIRED": "true", "OS_HOST": "0.0.0.0"}
STAND_IN = "f00d"


def given(service: str, **more: str) -> dict[str, str]:
    environ = SECRETS | PLAIN | more
    return handed_over(environ, service, config.load(environ), stand_in=STAND_IN)


def secrets_of(service: str, **more: str) -> set[str]:
    return {name for name, value in given(service, **more).items() if SECRETS.get(name) == value}


def test_the_front_gets_every_secret_of_the_server() -> None:
    assert secrets_of("open_speech") == set(SECRETS)


@pytest.mark.parametrize(
    ("service", "own"),
    [
        ("kokoro", {"PIP_EXTRA_INDEX_URL"}),
        ("piper", {"HF_TOKEN", "PIP_EXTRA_INDEX_URL"}),
        ("faster_whisper", {"HF_TOKEN", "PIP_EXTRA_INDEX_URL"}),
        ("onnx_asr", {"HF_TOKEN"}),
        ("openai_whisper", set()),
        ("upstream", {"STT_UPSTREAM_API_KEY"}),
        ("upstream_tts", {"TTS_UPSTREAM_API_KEY"}),
        ("deepgram", {"OS_DEEPGRAM_API_KEY"}),
        ("elevenlabs_tts", {"OS_ELEVENLABS_API_KEY"}),
        ("cartesia", {"OS_CARTESIA_API_KEY"}),
        ("fish", {"OPENAUDIO_API_KEY"}),
        ("wyoming", set()),
        ("tones_tts", set()),
        ("a_service_of_somebody_else", set()),
        ("", set()),
    ],
)
def test_a_runner_gets_the_secrets_of_its_own_backend(service: str, own: set[str]) -> None:
    assert secrets_of(service) == own


@pytest.mark.parametrize("entry", catalog.BACKENDS, ids=lambda entry: entry.name)
def test_a_backend_offline_gets_its_own_secret_settings_and_no_token(entry: catalog.BackendEntry) -> None:
    own = {name.upper() for name in entry.settings} & set(SECRETS)
    assert secrets_of(entry.name.replace("-", "_"), OS_OFFLINE="true") == own


@pytest.mark.parametrize(
    ("placements", "own"),
    [
        ({"STT_BACKENDS": "faster-whisper", "TTS_BACKENDS": "kokoro"}, set()),
        ({"STT_BACKENDS": "upstream", "TTS_BACKENDS": "kokoro"}, {"STT_UPSTREAM_API_KEY"}),
        ({"STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "upstream-tts@http://box:3000"}, {"TTS_UPSTREAM_API_KEY"}),
        ({"STT_BACKENDS": "onnx-asr@inproc", "TTS_BACKENDS": "tones-tts@inproc"}, {"HF_TOKEN"}),
        ({"STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "fish@inproc"}, {"OPENAUDIO_API_KEY"}),
    ],
)
def test_wyoming_gets_the_keys_of_backends_that_it_asks_or_runs_itself(placements: dict[str, str], own: set[str]) -> None:
    detector = set() if importlib.util.find_spec("faster_whisper") else {"PIP_EXTRA_INDEX_URL"}
    assert secrets_of("wyoming_door", **placements) == own | detector


@pytest.mark.parametrize("service", ["kokoro", "wyoming_door", ""])
def test_what_depends_on_there_being_a_key_comes_out_the_same_everywhere(service: str) -> None:
    server, process = config.load(SECRETS | PLAIN), config.load(given(service))
    assert process.keys.find(["one", "two"]) is None
    assert process.os_auth_required
    assert (bool(process.keys), process.page_origins, process.socket_origins, process.host_names) == (
        (True, server.page_origins, server.socket_origins, server.host_names)
    )
    hidden = {field for field in config.Settings.model_fields if not config.Settings.model_fields[field].repr}
    assert process.model_dump(exclude=hidden) == server.model_dump(exclude=hidden)


def test_without_a_key_there_is_none_to_stand_in() -> None:
    assert "OS_API_KEY" not in handed_over({"PATH": "/bin"}, "kokoro", config.load({}), stand_in=STAND_IN)


@pytest.mark.parametrize("old", ["API_KEYS", "STT_API_KEY"])
def test_a_key_under_an_old_name_is_kept_from_runners_as_well(old: str) -> None:
    with pytest.warns(DeprecationWarning, match=old):
        settings = config.load({old: "sesame"})
    assert handed_over({old: "sesame"}, "kokoro", settings, stand_in=STAND_IN) == {"OS_API_KEY": STAND_IN}
    assert handed_over({old: "sesame"}, "open_speech", settings, stand_in=STAND_IN) == {"OS_API_KEY": "sesame"}


def test_a_key_that_other_programs_have_too_goes_where_the_current_name_goes() -> None:
    environ = {"ENABLE_FASTER_WHISPER": "false", "OPENAI_API_KEY": "sesame"}
    with pytest.warns(DeprecationWarning):
        settings = config.load(environ)
    keys = {service: handed_over(environ, service, settings, stand_in=STAND_IN) for service in ("open_speech", "upstream", "kokoro")}
    assert "OPENAI_API_KEY" not in {name for given in keys.values() for name in given}
    assert {service for service, given in keys.items() if given.get("STT_UPSTREAM_API_KEY") == "sesame"} == {"open_speech", "upstream"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("GITHUB_TOKEN", "x"),
        ("OPENAI_API_KEY", "x"),
        ("DB_PASSWORD", "x"),
        ("SSH_AUTH_SOCK", "/run/agent"),
        ("OS_PASSWORD", "x"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/etc/key.json"),
        ("TLS_KEY_PASSPHRASE", "x"),
        ("SERVICE_APIKEY", "x"),
        ("database_password", "x"),
        ("DATABASE_URL", "postgres://user:password@db/speech"),
        ("GIT_REMOTE", "https://ghp_0123@example.org/x"),
    ],
)
def test_a_secret_of_another_program_goes_to_no_process(name: str, value: str) -> None:
    assert is_secret(name, value)
    assert name not in handed_over({name: value}, "open_speech", config.load({}), stand_in=STAND_IN)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENIZERS_PARALLELISM", "false"),
        ("CUDA_VISIBLE_DEVICES", "0"),
        ("LD_LIBRARY_PATH", "/usr/lib"),
        ("SSL_CERT_FILE", "/etc/ca.pem"),
        ("BENTOML_RUNNER_MAP", '{"kokoro": "unix:///tmp/x/kokoro.sock"}'),
        ("KEYBOARD", "us"),
        ("https_proxy", "http://user:password@proxy:3128"),
        ("OS_AUTH_REQUIRED", "true"),
        ("OS_SSL_KEYFILE", "/etc/key.pem"),
    ],
)
def test_what_a_process_needs_to_run_is_no_secret(name: str, value: str) -> None:
    assert not is_secret(name, value)
    assert handed_over({name: value}, "tones_tts", config.load({}), stand_in=STAND_IN) == {name: value}


def test_every_secret_setting_is_one_that_is_never_shown() -> None:
    assert config.secrets() == set(SECRETS) - {"HF_TOKEN", "PIP_EXTRA_INDEX_URL"} | {
        "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "API_KEYS", "STT_API_KEY", "STT_OPENAI_KEY", "TTS_OPENAI_KEY", "OS_WEBRTC_ICE_SERVERS"
    }  # fmt: skip
    assert needs("open_speech", config.load({})).settings == config.secrets()
