from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_speech import config
from open_speech.cli import _migrate_env as env
from open_speech.cli._migrate_settings import Line, Variable, check, converted, is_open, resolved
from open_speech.config.old_names import BY_NAME, TABLE, System
from tests.settings_of_others import BLOCKS

Run = Callable[..., Any]


def migrate(run: Run, tmp_path: Path, text: str, *options: str, name: str = ".env") -> Any:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return run("migrate", str(file), *options)


def variables(text: str) -> dict[str, str]:
    """Return the variables of a file, without comments."""
    return {variable.name: variable.value or "" for variable in env.read(text) if variable.name}


def comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("#"))


@pytest.mark.parametrize("name", BLOCKS)
def test_the_settings_of_every_server_become_settings_that_load_without_a_warning(run: Run, tmp_path: Path, name: str) -> None:
    result = migrate(run, tmp_path, BLOCKS[name])
    assert result.exit_code == 0, result.stderr
    found = variables(result.stdout)
    config.load(found)  # a warning is an error in these tests
    assert not set(found) & {row.name for row in TABLE if not row.silent}


@pytest.mark.parametrize("name", BLOCKS)
def test_no_variable_is_dropped_in_silence(run: Run, tmp_path: Path, name: str) -> None:
    shown = migrate(run, tmp_path, BLOCKS[name]).stdout
    for old in variables(BLOCKS[name]):
        row = BY_NAME.get(old)
        names = {old, row.setting} if row is not None and row.setting else {old}
        assert names & variables(shown).keys() or f"# {old}" in shown, old


def test_a_file_of_voice_stack(run: Run, tmp_path: Path) -> None:
    result = migrate(run, tmp_path, BLOCKS["voice-stack"])
    assert variables(result.stdout) == {
        "OS_CORS_ORIGINS": "http://localhost:3000", "STT_DEVICE": "cpu", "STT_MODEL": "Systran/faster-whisper-base",
        "STT_BACKENDS": "faster-whisper", "STT_VAD_ENABLED": "true", "TTS_DEVICE": "cpu", "TTS_VOICE_DIR": "./voices",
        "OS_LOG_LEVEL": "info",
        "DEBUGPY_ENABLE": "false", "DEBUGPY_HOST": "0.0.0.0", "DEBUGPY_PORT": "5678", "DEBUGPY_WAIT_FOR_CLIENT": "false",
    }  # fmt: skip
    assert "# TTS_MAX_CHARS has no counterpart. The server splits text into sentences by itself." in result.stdout
    assert "# Voice Stack listened on 0.0.0.0:5001 and 0.0.0.0:5002. This server listens on 127.0.0.1:8100 unless" in result.stdout
    assert "# several with commas\nOS_CORS_ORIGINS" in result.stdout
    assert result.stderr.splitlines() == [
        ".env: settings of Voice Stack.",
        "See the comments on PROJECT_NAME, TTS_MODEL, TTS_AUTO_LANG, TTS_MAX_CHARS, TTS_SAMPLE_RATE.",
    ]


@pytest.mark.parametrize(
    ("text", "system", "expected"),
    [
        ("WHISPER__MODEL=base\nwhisper__compute_type=default\nAPI_KEY=k\nUVICORN_PORT=8000\nALLOW_ORIGINS=[\"http://a\"]", "speaches",
         {"STT_MODEL": "Systran/faster-whisper-base", "STT_COMPUTE_TYPE": "auto", "OS_API_KEY": "k", "OS_PORT": "8000",
          "OS_CORS_ORIGINS": "http://a"}),
        ("HOST=0.0.0.0\nPORT=8880\nDEFAULT_VOICE=af_sky\nUSE_GPU=false\nTZ=UTC", "kokoro-fastapi",
         {"OS_HOST": "0.0.0.0", "OS_PORT": "8880", "TTS_VOICE": "af_sky", "TTS_DEVICE": "cpu", "TZ": "UTC"}),
        ("ASR_MODEL=large\nASR_ENGINE=openai_whisper\nASR_QUANTIZATION=int8\nMODEL_IDLE_TIMEOUT=300", "whisper-asr-webservice",
         {"STT_MODEL": "openai-whisper/large-v3", "STT_BACKENDS": "openai-whisper", "STT_COMPUTE_TYPE": "int8", "OS_MODEL_TTL": "300"}),
    ],
)  # fmt: skip
def test_other_servers_are_detected(run: Run, tmp_path: Path, text: str, system: str, expected: dict[str, str]) -> None:
    detected, named = migrate(run, tmp_path, text), migrate(run, tmp_path, text, "--from", system)
    assert variables(detected.stdout) == variables(named.stdout) == expected


def test_names_that_other_programs_have_too_need_the_name_of_the_server(run: Run, tmp_path: Path) -> None:
    result = migrate(run, tmp_path, "PORT=8880\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: .env: found no setting of a server that is known; `--from` names the server.\n"
    assert variables(migrate(run, tmp_path, "PORT=8880\n", "--from", "kokoro-fastapi").stdout) == {"OS_PORT": "8880"}


def test_keys_are_in_the_result_and_in_no_message(run: Run, tmp_path: Path) -> None:
    text = "STT_API_KEY=s3cret\nDB_PASSWORD=s3cret\n"
    text += "STT_OPENAI_KEY='s3 cret$1'\nLIVEKIT_API_SECRET=s3cret\nOPENAI_WHISPER_RESPONSE_FORMAT=json\n"
    result = migrate(run, tmp_path, text)
    assert variables(result.stdout)["OS_API_KEY"] == "s3cret"
    assert "STT_UPSTREAM_API_KEY='s3 cret$1'\n" in result.stdout
    assert "s3" not in result.stderr + comments(result.stdout)
    wrong = migrate(run, tmp_path, "STT_API_KEY=s3cret,,s3cret\n")
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("Error: .env: the server would not start with the result. OS_API_KEY=…: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("STT_PORT=1\ns3cret\n", "Error: .env: line 2: expected NAME=value."),
        ("STT_PORT='1\n", "Error: .env: line 1: the quotation marks do not match."),
        ('STT_PORT="1" s3cret\n', "Error: .env: line 1: the quotation marks do not match."),
        ("# nothing\n", "Error: .env: found no variable (NAME=value)."),
        ("", "Error: .env: found no variable (NAME=value)."),
        ("STT_PORT=99999\n", "Error: .env: the server would not start with the result. OS_PORT='99999': Input should be"),
        ("STT_PORT=1\0\n", "Error: .env is not a text file."),
        ("STT_PORT=1\n" + "#" * (1 << 20), "Error: .env is larger than 1 MiB."),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(run: Run, tmp_path: Path, text: str, message: str) -> None:
    result = migrate(run, tmp_path, text)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(message)
    assert len(result.stderr.splitlines()) == 1
    assert "s3cret" not in result.stderr


def test_a_binary_file_and_a_missing_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.env").write_bytes(b"\xff\xfe")
    assert "not a text file in UTF-8" in run("migrate", str(tmp_path / "x.env")).stderr
    assert run("migrate", str(tmp_path / "none.env")).exit_code == 2


def test_the_result_goes_to_a_file_of_its_owner_and_replaces_none(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "new.env"
    assert migrate(run, tmp_path, "STT_PORT=1\n", "-o", str(target)).stdout == ""
    assert variables(target.read_text(encoding="utf-8")) == {"OS_PORT": "1"}
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    again = migrate(run, tmp_path, "STT_PORT=2\n", "-o", str(target))
    assert (again.exit_code, again.stderr) == (2, f"Error: {target} exists. Use --force to overwrite it.\n")
    assert migrate(run, tmp_path, "STT_PORT=2\n", "-o", str(target), "--force").exit_code == 0
    assert variables(target.read_text(encoding="utf-8")) == {"OS_PORT": "2"}
    nowhere = migrate(run, tmp_path, "STT_PORT=2\n", "-o", str(tmp_path / "none/new.env"))
    assert (nowhere.exit_code, "Cannot write" in nowhere.stderr) == (1, True)


def test_standard_input(run: Run) -> None:
    assert variables(run("migrate", "-", stdin="STT_PORT=1\n").stdout) == {"OS_PORT": "1"}


# -- Lines


def line(name: str, value: str, systems: set[System], *more: Variable) -> list[tuple[str, str | None]]:
    lines = converted([Variable(name, value), *more], systems)
    return [(each.name or "#", each.value if each.name else each.comment) for each in lines]


GEMMA = {System.GEMMAVOICE}


@pytest.mark.parametrize(
    ("name", "value", "systems", "expected"),
    [
        ("STT_PORT", "${STT_PORT:-8100}", {System.OPEN_SPEECH}, [("OS_PORT", "${OS_PORT:-8100}")]),
        ("STT_PORT", "$STT_PORT", {System.OPEN_SPEECH}, [("OS_PORT", "$OS_PORT")]),
        ("STT_API_KEY", "${KEY}", {System.OPEN_SPEECH}, [("OS_API_KEY", "${KEY}")]),
        ("STT_API_KEY", "${STT_API_KEY:?no key}", {System.OPEN_SPEECH}, [("OS_API_KEY", "${OS_API_KEY:?no key}")]),
        ("STT_API_KEY", "a$$b", {System.OPEN_SPEECH}, [("OS_API_KEY", "a$$b")]),
        ("OS_PORT", "${STT_PORT:-8100}", {System.OPEN_SPEECH}, [("OS_PORT", "${OS_PORT:-8100}")]),
        ("FASTER_WHISPER_MODEL_SIZE", "${FASTER_WHISPER_MODEL_SIZE:-base}", GEMMA,
         [("STT_MODEL", "${STT_MODEL:-Systran/faster-whisper-base}")]),
        ("FASTER_WHISPER_MODEL_SIZE", "${SIZE:-base}", GEMMA,
         [("#", "SIZE must now have a value of STT_MODEL."), ("STT_MODEL", "${SIZE:-Systran/faster-whisper-base}")]),
        ("FASTER_WHISPER_MODEL_SIZE", "large-${V}", GEMMA,
         [("#", "FASTER_WHISPER_MODEL_SIZE: set STT_MODEL by hand, because the value consists of several parts.")]),
        ("OS_PORTS", "1", {System.OPEN_SPEECH}, [("#", "OS_PORTS is not a setting of this server, nor of a server that it knows.")]),
        ("OS_PASSWORD", "x", {System.OPEN_SPEECH}, [("OS_PASSWORD", "x")]),
    ],
)  # fmt: skip
def test_a_reference_keeps_its_place(name: str, value: str, systems: set[System], expected: list[tuple[str, str]]) -> None:
    assert line(name, value, systems) == expected


def test_of_two_values_for_one_setting_the_first_counts_and_the_other_is_a_comment() -> None:
    assert line("STT_PORT", "1", {System.OPEN_SPEECH}, Variable("OS_PORT", "2")) == [
        ("OS_PORT", "1"),
        ("#", "OS_PORT was set twice, with different values; the first is used."),
    ]


@pytest.mark.parametrize(
    ("value", "plain", "open_"),
    [
        ("a", "a", False), ("${A:-b}", "b", False), ("${A-b}c", "bc", False), ("${A}", "", True), ("$A", "", True), ("${A:?b}", "", True),
        ("$$A", "$A", False), ("${A:-}", "", False), (None, "", True),
    ],
)  # fmt: skip
def test_defaults_of_references(value: str | None, plain: str, open_: bool) -> None:
    assert resolved(value or "") == plain
    assert is_open(value) is open_


def test_values_that_depend_on_other_variables_are_not_checked() -> None:
    check([Line("OS_PORT", "${PORT}"), Line("OS_AUTH_REQUIRED", "true"), Line("OS_API_KEY", "${KEY}"), Line("TZ", "UTC")])
    with pytest.raises(config.SettingsError, match="OS_PORT"):
        check([Line("OS_PORT", "${PORT:-x}")])


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("A=b", "A", "b"), ("export A=b", "A", "b"), ("A = b ", "A", "b"), ("A=b # c", "A", "b"), ("A=b#c", "A", "b#c"), ("A=", "A", ""),
        ("A=# c", "A", ""),
        ("A='b # c' # d", "A", "b # c"), (r'A="b\"c\n"', "A", 'b"c\n'), ('A="b\nc"', "A", "b\nc"), ("A=b=c", "A", "b=c"),
    ],
)  # fmt: skip
def test_forms_of_a_variable_are_read_and_written_alike(text: str, name: str, value: str) -> None:
    (variable,) = [each for each in env.read(text) if each.name]
    assert (variable.name, variable.value) == (name, value)
    written = env.written([Line(name, value)])
    assert variables(written) == {name: value}
