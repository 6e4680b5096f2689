"""The command line, `open-speech`: the second composition root beside service.py, with every backend in this process.

The module of a command is imported when the command runs, because `open-speech --help` needs none of them.
"""

from __future__ import annotations

import importlib

import click

from open_speech import __version__
from open_speech.errors import SpeechError

COMMANDS = {
    "serve": "Pull missing weights and start the server.",
    "wyoming": "Serve only Wyoming, for Home Assistant, in front of another server.",
    "models": "List, search, pull, show and remove models, and add indexes of models.",
    "transcribe": "Transcribe audio or video files, without a server.",
    "speak": "Synthesize a text into an audio file, without a server.",
    "talk": "Talk with the language model of a server, by microphone or by files.",
    "doctor": "Check what is installed, what is missing, and whether the server can start.",
    "settings": "List every setting with its current value.",
    "migrate": "Convert the settings of another speech server: a compose file or a .env file.",
}
"""Command -> its help; the command itself is `command` in the module of that name. Defined here so that help is instant."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, by the convention of shells."""


class WrongUse(click.ClickException):
    """Invalid use of a command: a wrong setting or argument."""

    exit_code = 2


class Main(click.Group):
    """The group of all commands: imports a command when it is called, and reports each known error in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if it does not exist."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"open_speech.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write COMMANDS into the help page."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run a command. Exit codes: 0 success, 1 failure, 2 wrong use, 130 interrupted."""
        from open_speech.config import SettingsError  # noqa: PLC0415 - pydantic takes longer than the whole help page

        try:
            return super().invoke(ctx)
        except SpeechError as error:
            raise click.ClickException(one_line(error)) from error
        except SettingsError as error:
            raise WrongUse(str(error)) from error
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


def one_line(error: SpeechError) -> str:
    """Return the message of an error, with the invalid field if there is one."""
    return f"{error.param}: {error.message}" if error.param else error.message


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="open-speech")
def main() -> None:
    """One self-hosted server for speech: transcribe and speak through the OpenAI API.

    Settings are environment variables; `open-speech settings` lists them.
    """
