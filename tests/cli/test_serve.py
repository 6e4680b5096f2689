from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_speech.cli.serve import address_trouble, port_trouble, serve_arguments, serve_environment, service_folder
from open_speech.config import Settings
from open_speech.http.tls import Certificate
from tests.waiting import PATIENCE_S

Run = Callable[..., Any]
FOLDER = Path("/somewhere")


@pytest.fixture
def taken() -> Any:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_one_clear_line(run: Run, taken: int) -> None:
    result = run("serve", "--port", str(taken))
    assert result.exit_code == 1
    line = f"Error: Cannot listen on 127.0.0.1 port {taken}: Address already in use. Choose another with --host and --port.\n"
    assert result.stderr == line


def test_a_free_port_is_no_trouble_and_stays_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    assert port_trouble("127.0.0.1", port) == ""
    assert port_trouble("127.0.0.1", port) == ""


def test_an_address_that_is_not_ours_is_named() -> None:
    assert port_trouble("192.0.2.1", 8100).startswith("Cannot listen on 192.0.2.1 port 8100: ")


def test_a_taken_unix_socket_is_one_clear_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        result = run("serve", "--unix-socket", str(path))
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: Cannot listen on the Unix socket {path}: another server listens on it; stop that server or choose another path.\n"
    )


def test_with_a_unix_socket_a_taken_port_is_no_trouble(tmp_path: Path, taken: int) -> None:
    assert address_trouble(Settings(os_port=taken, os_unix_socket=tmp_path / "x.sock")) == ""
    assert address_trouble(Settings(os_port=taken)) != ""


def test_a_port_beside_a_unix_socket_is_wrong_use(run: Run, tmp_path: Path) -> None:
    result = run("serve", "--port", "8200", OS_UNIX_SOCKET=str(tmp_path / "x.sock"))
    assert result.exit_code == 2
    assert "leave out --host and --port" in result.stderr


def test_a_relative_unix_socket_is_the_same_file_for_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    served = serve_environment({}, Settings(os_unix_socket=Path("x.sock")))
    assert served["OS_UNIX_SOCKET"] == str(tmp_path / "x.sock")


def test_a_port_out_of_range_is_wrong_use(run: Run) -> None:
    result = run("serve", "--port", "99999")
    assert result.exit_code == 2
    assert "OS_PORT" in result.stderr


def test_an_unknown_backend_is_wrong_use(run: Run) -> None:
    result = run("serve", STT_BACKENDS="wisper")  # codespell:ignore wisper
    assert result.exit_code == 2
    assert "STT_BACKENDS: unknown backend 'wisper'" in result.stderr


def test_a_default_model_that_cannot_be_had_stops_the_start(run: Run, free_port: int) -> None:
    result = run("serve", "--port", str(free_port), TTS_BACKENDS="piper", TTS_MODEL="piper/en_US-joe-medium")
    assert result.exit_code == 1
    assert "en_US-joe-medium" in result.stderr
    assert "--no-pull" in result.stderr


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_bentoml_gets_the_address_and_a_bound_on_its_shutdown() -> None:
    arguments = serve_arguments(Settings(os_host="0.0.0.0", os_port=8200), FOLDER)
    assert arguments[:2] == ["serve", "service:OpenSpeech"]
    options = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    assert options == {
        "--working-dir": str(FOLDER),
        "--host": "0.0.0.0",
        "--port": "8200",
        "--timeout-graceful-shutdown": "10",
    }


def test_a_certificate_becomes_flags() -> None:
    shown = Certificate(Path("/a/cert.pem"), Path("/a/key.pem"), Path("/a/cert.pem"))
    assert serve_arguments(Settings(), FOLDER, shown)[-4:] == ["--ssl-certfile", "/a/cert.pem", "--ssl-keyfile", "/a/key.pem"]


def test_a_certificate_that_is_not_there_stops_the_start(run: Run) -> None:
    result = run("serve", "--no-pull", "--port", "8109", OS_SSL_CERTFILE="/nowhere/cert.pem")
    assert result.exit_code == 2
    assert "OS_SSL_CERTFILE='/nowhere/cert.pem': No such file or directory." in result.stderr


def test_the_environment_keeps_runners_alive_in_a_container_and_leaves_the_gpus_alone() -> None:
    served = serve_environment({"PATH": "/bin", "BENTOML_CONTAINERIZED": "true"}, Settings(os_port=8200, os_models_dir=Path("here")))
    assert served == {
        "PATH": "/bin",
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_DISABLE_GPU_ALLOCATION": "1",
        "OS_HOST": "127.0.0.1",
        "OS_PORT": "8200",
        "OS_MODELS_DIR": str(Path.cwd() / "here"),
    }


def test_the_service_is_found_without_importing_it() -> None:
    before = "service" in sys.modules
    assert (service_folder() / "service.py").is_file()
    assert ("service" in sys.modules) is before


def test_a_task_without_any_installed_backend_stops_the_start(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "piper", None)  # Python's own way of saying that there is no such package
    result = run("serve", TTS_BACKENDS="piper")
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: No backend for text-to-speech is installed: pip install 'open-speech[piper]'\n")


def test_the_server_gets_the_current_names_because_the_old_ones_were_reported() -> None:
    served = serve_environment(
        {"STT_TRUST_PROXY": "true", "ASR_MODEL": "base", "CORS_ORIGINS": "http://a", "TTS_MAX_CHARS": "9"}, Settings()
    )
    assert (served["OS_TRUST_PROXY"], served["STT_MODEL"], served["OS_CORS_ORIGINS"]) == ("true", "Systran/faster-whisper-base", "http://a")
    assert not {"STT_TRUST_PROXY", "ASR_MODEL", "TTS_MAX_CHARS"} & served.keys()


def test_the_command_becomes_bentoml_with_the_environment_of_the_server(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from open_speech.cli.serve import become_server\n"
        "environ = {'PATH': os.environ['PATH'], 'BENTOML_HOME': sys.argv[1]}\n"
        "assert 'BEFORE' in os.environ\n"
        "try:\n"
        "    become_server(['--version'], environ)\n"
        "finally:\n"
        "    print(sorted(os.environ), sys.argv)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    shown = subprocess.run(command, env={**os.environ, "BEFORE": "1"}, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    version, told = shown.stdout.splitlines()
    assert version.startswith("bentoml, version ")
    assert told == "['BENTOML_HOME', 'PATH'] ['bentoml', '--version']"
