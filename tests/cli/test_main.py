from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest
from click.testing import CliRunner

from open_speech import __version__
from open_speech.cli import COMMANDS, INTERRUPTED, Main, main
from open_speech.errors import UnknownVoice

Run = Callable[..., Any]


def test_help_lists_every_command_and_imports_none_of_them() -> None:
    probe = "import sys; from open_speech.cli import main; main(['--help'], standalone_mode=False); print('pydantic' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert shown.endswith("False\n")
    assert all(f"  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_the_table_is_the_help_of_the_command(name: str) -> None:
    command = importlib.import_module(f"open_speech.cli.{name}").command
    assert isinstance(command, click.Command)
    assert command.name == name
    # The page of a command writes its arguments in capitals.
    assert COMMANDS[name].split()[0] == (command.help or "").split()[0]


def test_version_is_the_package_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output.split()[-1] == __version__


def test_an_unknown_command_is_wrong_use(run: Run) -> None:
    result = run("sing")
    assert result.exit_code == 2
    assert "No such command 'sing'" in result.stderr


def test_a_wrong_setting_is_one_line_and_wrong_use(run: Run) -> None:
    result = run("models", "list", OS_PORTT="8100")
    assert result.exit_code == 2
    assert result.stderr == "Error: Unknown setting OS_PORTT. Did you mean OS_PORT? `open-speech settings` lists them all.\n"


def test_a_renamed_setting_works_and_is_told_about(run: Run) -> None:
    result = run("settings", STT_PORT="9000")
    assert result.exit_code == 0
    assert "STT_PORT is now called OS_PORT" in result.stderr
    assert "OS_PORT\t9000\t" in result.stdout


def _group(failure: BaseException) -> click.Group:
    @click.group(cls=Main)
    def group() -> None:
        raise failure

    return group


def test_a_failure_of_ours_is_one_line_that_names_the_field() -> None:
    result = CliRunner().invoke(_group(UnknownVoice("No voice `x`.", param="voice")), ["settings"])
    assert result.exit_code == 1
    assert result.stderr == "Error: voice: No voice `x`.\n"


def test_ctrl_c_is_quiet() -> None:
    result = CliRunner().invoke(_group(KeyboardInterrupt()), ["settings"])
    assert result.exit_code == INTERRUPTED
    assert result.output == ""
