from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from open_speech import config
from open_speech.config import FOREIGN, Settings, SettingsError, load, names, table
from open_speech.config.server import UnixSocket


def test_no_variable_at_all_gives_the_defaults() -> None:
    assert load({}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("OS_PORT", "9000", 9000),
        ("OS_OFFLINE", "true", True),
        ("OS_OFFLINE", "0", False),
        ("OS_REQUEST_TIMEOUT_S", "1.5", 1.5),
        ("OS_MODELS_DIR", "/models", Path("/models")),
        ("OS_SSL_CERTFILE", "/cert.pem", Path("/cert.pem")),
        ("OS_CORS_ORIGINS", "http://a, http://b,", ("http://a", "http://b")),
        (
            "STT_BACKENDS",
            "faster-whisper,vosk@inproc,moonshine@http://gpu:3000",
            ("faster-whisper", "vosk@inproc", "moonshine@http://gpu:3000"),
        ),
        ("STT_DEVICE", "cuda:1", "cuda:1"),
        ("TTS_DEFAULT_FORMAT", "opus", "opus"),
        ("TTS_SPEED", "0.25", 0.25),
    ],
)
def test_a_value_gets_its_type(name: str, value: str, expected: object) -> None:
    assert getattr(load({name: value}), name.lower()) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, (300, 0.5)),
        ({"STT_VAD_SILENCE_MS": "800", "STT_VAD_THRESHOLD": "0.5"}, (800, 0.5)),
        ({"STT_VAD_SILENCE_MS": "1200", "STT_VAD_THRESHOLD": "0.7"}, (1200, 0.7)),
        ({"STT_VAD_SILENCE_MS": "1200", "OS_STREAM_ENDPOINTING_MS": "300"}, (300, 0.5)),
        ({"STT_VAD_THRESHOLD": "0.7", "OS_STREAM_VAD_THRESHOLD": "0.4"}, (300, 0.4)),
    ],
)
def test_speech_detection_of_files_rules_live_streams_without_settings_of_their_own(
    environ: dict[str, str], expected: tuple[int, float]
) -> None:
    settings = load(environ)
    assert (settings.stream_endpointing_ms, settings.stream_vad_threshold) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OS_PORT", "0"),
        ("OS_PORT", "65536"),
        ("OS_PORT", "http"),
        ("OS_PORT", ""),
        ("OS_MAX_UPLOAD_MB", "0"),
        ("OS_MODEL_TTL", "-1"),
        ("OS_OFFLINE", "maybe"),
        ("OS_REQUEST_TIMEOUT_S", "0"),
        ("STT_DEVICE", "gpu"),
        ("STT_DEVICE", "cuda:"),
        ("STT_VAD_THRESHOLD", "1"),
        ("TTS_SPEED", "4.5"),
        ("TTS_DEFAULT_FORMAT", "mp4"),
    ],
)
def test_a_value_out_of_range_is_refused_and_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}='{value}': "):
        load({name: value})


def test_an_unknown_name_is_refused_and_the_nearest_is_suggested() -> None:
    with pytest.raises(SettingsError, match=r"Unknown setting TTS_VOICEE\. Did you mean TTS_VOICE\?"):
        load({"TTS_VOICEE": "alloy"})


def test_an_unknown_name_near_a_renamed_one_suggests_the_new_name() -> None:
    with pytest.raises(SettingsError, match=r"Did you mean OS_MODELS_DIR\?"):
        load({"STT_MODEL_DIRR": "/models"})


def test_an_unknown_name_like_nothing_is_refused_without_a_guess() -> None:
    with pytest.raises(SettingsError) as refused:
        load({"OS_QQQQQQQQ": "1"})
    assert "Did you mean" not in str(refused.value)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_name_of_openstack_is_not_ours_to_judge(name: str) -> None:
    assert load({name: "anything"}) == Settings()


def test_a_name_without_our_prefix_is_not_looked_at() -> None:
    assert load({"PATH": "/bin", "OSX": "1", "STTY": "1"}) == Settings()


def test_of_a_prefix_that_others_use_too_only_our_names_are_read() -> None:
    settings = load({"LLM_BASE_URL": "http://127.0.0.1:11434/v1", "LLM_TEMPERATURE": "hot"})
    assert settings == Settings(llm_base_url="http://127.0.0.1:11434/v1")


def test_an_old_name_works_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="^STT_PORT is now called OS_PORT$"):
        assert load({"STT_PORT": "7"}) == load({"OS_PORT": "7"}) != Settings()


def test_the_new_name_wins_over_the_old_one() -> None:
    with pytest.warns(DeprecationWarning):
        assert load({"STT_PORT": "1000", "OS_PORT": "2000"}).os_port == 2000
    with pytest.warns(DeprecationWarning):
        assert load({"OS_PORT": "2000", "STT_PORT": "1000"}).os_port == 2000


def test_a_wrong_value_under_an_old_name_shows_the_value_that_was_given() -> None:
    with pytest.raises(SettingsError, match=r"^OS_PORT='99999' \(set by STT_PORT\): "), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load({"STT_PORT": "99999"})


@pytest.mark.parametrize(
    ("name", "expected"),
    [("OS_API_KEY", ""), ("OS_SSL_CERTFILE", None), ("OS_CORS_ORIGINS", ()), ("STT_PRELOAD_MODELS", ()), ("TTS_DEVICE", "")],
)
def test_an_empty_value_switches_off_what_may_be_off(name: str, expected: object) -> None:
    assert getattr(load({name: ""}), name.lower()) == expected


def test_a_wrong_key_is_named_and_not_shown() -> None:
    with pytest.raises(SettingsError, match=r"^OS_API_KEY=…: ") as refused:
        load({"OS_API_KEY": "sesame,,open"})
    assert "sesame" not in str(refused.value)


def test_a_server_that_must_have_a_key_does_not_start_without_one() -> None:
    for key in ({}, {"OS_API_KEY": " "}):
        with pytest.raises(SettingsError, match="^OS_AUTH_REQUIRED='true': .*there is no key: set OS_API_KEY"):
            load({"OS_AUTH_REQUIRED": "true", **key})
    assert load({"OS_AUTH_REQUIRED": "true", "OS_API_KEY": "sesame"}).keys
    with pytest.warns(DeprecationWarning, match="API_KEYS"):
        assert load({"OS_AUTH_REQUIRED": "true", "API_KEYS": "sesame,open"}).keys


@pytest.mark.parametrize(("value", "proxies"), [("false", 0), ("True", 1), ("2", 2), ("0", 0)])
def test_a_switch_for_a_proxy_means_one(value: str, proxies: int) -> None:
    assert load({"OS_TRUST_PROXY": value}).os_trust_proxy == proxies


@pytest.mark.parametrize("value", ["10.0.0.0/40", "proxy.example", "10.0.0.1:80", "unix:/run/x.sock"])
def test_a_trusted_proxy_is_an_address_or_a_network(value: str) -> None:
    with pytest.raises(SettingsError, match="^OS_TRUSTED_PROXIES"):
        load({"OS_TRUSTED_PROXIES": value})


@pytest.mark.parametrize("value", ["0.0.0.0/0", "10.0.0.1,::/0", "proxy.example"])
def test_a_proxy_that_authenticates_users_is_an_address_and_not_everybody(value: str) -> None:
    with pytest.raises(SettingsError, match="^OS_AUTH_PROXIES"):
        load({"OS_AUTH_PROXIES": value})
    assert [str(network) for network in load({"OS_AUTH_PROXIES": "172.30.32.2,unix"}).auth_proxies] == ["172.30.32.2/32"]


@pytest.mark.parametrize(
    ("environ", "exposed"),
    [
        ({}, False), ({"OS_HOST": "::1"}, False), ({"OS_HOST": "localhost"}, False), ({"OS_HOST": "0.0.0.0"}, True),
        ({"OS_AUTH_PROXIES": "127.0.0.1"}, True),
        ({"OS_HOST": "::"}, True),
        ({"OS_ROOT_PATH": "/speech"}, True), ({"OS_TRUST_PROXY": "1"}, True), ({"OS_TRUSTED_PROXIES": "10.0.0.1"}, True),
        ({"OS_UNIX_SOCKET": "/run/x.sock"}, True),
        ({"OS_WYOMING_HOST": "0.0.0.0"}, False),
        ({"OS_WYOMING_HOST": "0.0.0.0", "OS_WYOMING_ENABLED": "1"}, True), ({"OS_WYOMING_ENABLED": "1"}, False),
        ({"OS_WYOMING_URI": "tcp://0.0.0.0:1", "OS_WYOMING_ENABLED": "1"}, True),
        ({"OS_WYOMING_URI": "tcp://127.0.0.1:1", "OS_WYOMING_ENABLED": "1", "OS_WYOMING_HOST": "0.0.0.0"}, False),
        ({"OS_WYOMING_URI": "unix:///run/wyoming", "OS_WYOMING_ENABLED": "1", "OS_WYOMING_HOST": "0.0.0.0"}, False),
    ],
)  # fmt: skip
def test_a_server_is_exposed_where_other_machines_reach_it(environ: dict[str, str], exposed: bool) -> None:
    assert load(environ).is_exposed is exposed


@pytest.mark.parametrize(
    ("environ", "repositories"),
    [
        ({}, True), ({"OS_API_KEY": "k"}, False), ({"OS_HOST": "0.0.0.0"}, False), ({"OS_TRUST_PROXY": "1"}, False),
        ({"OS_WYOMING_HOST": "::", "OS_WYOMING_ENABLED": "1"}, False), ({"OS_PULL_ALLOWED": "catalog"}, False),
        ({"OS_PULL_ALLOWED": "any", "OS_API_KEY": "k"}, True), ({"OS_PULL_ALLOWED": "Systran/*", "OS_API_KEY": "k"}, False),
        ({"OS_PULL_ALLOWED": "acme/*", "OS_API_KEY": "k"}, True), ({"OS_API_KEY": "k", "STT_MODEL": "acme/whisper"}, True),
        ({"OS_API_KEY": "k", "STT_PRELOAD_MODELS": "x,acme/whisper"}, True),
    ],
)  # fmt: skip
def test_requests_have_any_repository_downloaded_only_on_a_machine_of_ones_own(environ: dict[str, str], repositories: bool) -> None:
    assert load(environ).pulls.allows("acme/whisper") is repositories


@pytest.mark.parametrize(
    ("environ", "pages", "sockets"),
    [
        ({}, (), ()),
        ({"OS_API_KEY": "k"}, ("*",), ("*",)),
        ({"OS_CORS_ORIGINS": "*"}, ("*",), ()),
        ({"OS_CORS_ORIGINS": "*", "OS_API_KEY": "k"}, ("*",), ("*",)),
        ({"OS_CORS_ORIGINS": "http://a"}, ("http://a",), ("http://a",)),
        ({"OS_CORS_ORIGINS": "http://a", "OS_API_KEY": "k"}, ("http://a",), ("http://a",)),
        ({"OS_WS_ALLOWED_ORIGINS": "*"}, (), ("*",)),
        ({"OS_WS_ALLOWED_ORIGINS": "http://b", "OS_CORS_ORIGINS": "http://a"}, ("http://a",), ("http://b",)),
    ],
)
def test_pages_of_others_open_websockets_only_with_a_key_or_where_that_is_said(
    environ: dict[str, str], pages: tuple[str, ...], sockets: tuple[str, ...]
) -> None:
    settings = load(environ)
    assert (settings.page_origins, settings.socket_origins) == (pages, sockets)


@pytest.mark.parametrize(
    ("value", "networks", "unix"), [("unix", 0, True), ("10.0.0.1, unix", 1, True), ("10.0.0.1", 1, False), ("", 0, False)]
)
def test_clients_of_the_unix_socket_are_trusted_by_a_name_of_their_own(value: str, networks: int, unix: bool) -> None:
    settings = load({"OS_TRUSTED_PROXIES": value})
    assert (len(settings.trusted_proxies), settings.trusts_unix_peers) == (networks, unix)


@pytest.mark.parametrize(("value", "mode"), [("0660", 0o660), ("600", 0o600), ("0777", 0o777)])
def test_the_mode_of_a_unix_socket_is_octal(value: str, mode: int) -> None:
    place = load({"OS_UNIX_SOCKET": "~/x.sock", "OS_UNIX_SOCKET_MODE": value}).unix_socket
    assert place == UnixSocket(Path.home() / "x.sock", mode)
    assert load({"OS_UNIX_SOCKET": ""}).unix_socket is None


@pytest.mark.parametrize("value", ["660 ", "0o660", "888", "rw", "1777", ""])
def test_another_mode_is_refused_and_named(value: str) -> None:
    with pytest.raises(SettingsError, match="^OS_UNIX_SOCKET_MODE"):
        load({"OS_UNIX_SOCKET_MODE": value})


def test_names_are_looked_at_where_nothing_else_protects_a_server() -> None:
    assert Settings().host_names == ()
    assert Settings(os_host="localhost", os_allowed_hosts=("a",)).host_names == ("a",)
    assert Settings(os_host="0.0.0.0").host_names is None
    assert Settings(os_host="0.0.0.0", os_unix_socket=Path("/run/x.sock")).host_names == ()
    assert Settings(os_api_key="k").host_names is None


def test_speech_runs_where_recognition_runs_unless_it_is_told_otherwise() -> None:
    assert Settings(stt_device="cuda").speech_device == "cuda"
    assert Settings(stt_device="cuda", tts_device="cpu").speech_device == "cpu"


def test_the_models_folder_has_its_home_resolved() -> None:
    assert Settings(os_models_dir=Path("~/models")).models_dir == Path.home() / "models"


def test_settings_cannot_be_changed_and_do_not_show_the_key() -> None:
    settings = Settings(os_api_key="topsecret")
    with pytest.raises(ValueError, match="frozen"):
        settings.os_port = 1  # type: ignore[misc]
    assert "topsecret" not in repr(settings)


def test_the_table_lists_every_setting_once_with_a_whole_sentence() -> None:
    rows = table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(names())
    assert all(row.count(" | ") == 2 and row.endswith(". |") for row in rows)


def test_every_name_carries_one_of_our_prefixes() -> None:
    assert all(name.startswith((*config.PREFIXES, *config.SHARED_PREFIXES)) for name in names())
    assert not set(names()) & set(FOREIGN)
