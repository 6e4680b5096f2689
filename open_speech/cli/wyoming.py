"""`open-speech wyoming`: a Wyoming server in front of any OpenAI-compatible server; replaces wyoming_openai and accepts its flags."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import warnings
from dataclasses import replace
from typing import Any

import click

from open_speech import config, logs
from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.server import PIPE, WyomingServer, serve_pipe, serving
from open_speech.api.wyoming.service import Service
from open_speech.cli import WrongUse
from open_speech.cli import _terminal as terminal
from open_speech.cli._wyoming_openai import DIALECTS, ServerOptions, Side, joined
from open_speech.config import Settings
from runners.host.memory import TIDYING
from runners.wiring import factories as parts
from runners.wiring import wyoming_service as wyoming
from runners.wiring.discovery import watch
from runners.wiring.engine import local_engine

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _words(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Split a list at spaces and commas."""
    return tuple((value or "").replace(",", " ").split())


class Command(click.Command):
    """A command with options that accept all words up to the next option, such as `--tts-voices alloy echo`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, after joining the words of such options."""
        return super().parse_args(ctx, joined(args))


def _option(name: str, text: str, variable: str | None = None, **how: Any) -> click.Option:
    variable = variable or name.removeprefix("--").replace("-", "_").upper()
    return click.Option([name], envvar=variable, show_envvar=True, help=text, **how)


_DIALECT = click.Choice(DIALECTS, case_sensitive=False)
OPTIONS = [
    _option("--uri", "Where to listen: tcp://, unix:// or stdio://.", "WYOMING_URI", default="tcp://0.0.0.0:10300", show_default=True),
    _option("--log-level", "Log level.", "WYOMING_LOG_LEVEL", default="INFO", type=click.Choice(LEVELS, case_sensitive=False)),
    _option("--languages", "Languages of models that do not report theirs. Default: all.", "WYOMING_LANGUAGES", callback=_words),
    _option("--upstream", "The server for both tasks, for example http://host:8100/v1.", "WYOMING_UPSTREAM"),
    click.Option(["--local"], is_flag=True, help="Use the backends of this machine, by its settings, instead of another server."),
    _option("--stt-openai-url", "Server for transcription. Default: OpenAI."),
    _option("--stt-openai-key", "API key of that server."),
    _option("--stt-models", "Models of that server, the default first. Default: ask the server.", callback=_words),
    _option("--stt-streaming-models", "Models that receive audio while the user is still speaking.", callback=_words),
    _option("--stt-realtime-models", "Ignored with a note: models are not called by OpenAI's Realtime API.", callback=_words),
    _option("--stt-backend", "Type of that server. Default: detect it.", type=_DIALECT),
    _option("--stt-temperature", "Sampling temperature.", type=click.FloatRange(0, 1)),
    _option("--stt-prompt", "Prompt: text in the desired style."),
    _option("--tts-openai-url", "Server for speech synthesis. Default: OpenAI."),
    _option("--tts-openai-key", "API key of that server."),
    _option("--tts-models", "Models of that server, the default first. Default: ask the server.", callback=_words),
    _option("--tts-voices", "Voices of that server, the default first. Default: ask the server.", callback=_words),
    _option("--tts-backend", "Type of that server. Default: detect it.", type=_DIALECT),
    _option("--tts-speed", "Speed of all synthesized speech.", type=click.FloatRange(0.25, 4)),
    _option("--tts-instructions", "Instructions for the style of speech, in plain language."),
    _option("--tts-streaming-models", "Further models. All models stream.", callback=_words),
    _option("--tts-realtime-models", "Ignored with a note, as for transcription.", callback=_words),
    _option("--tts-streaming-min-words", "Accepted for compatibility and ignored: text is split into sentences.", type=click.IntRange(1)),
    _option("--tts-streaming-max-chars", "Accepted for compatibility and ignored: text is split into sentences.", type=click.IntRange(1)),
]


def _run(**given: Any) -> None:
    """Serve only Wyoming, for Home Assistant, with an OpenAI-compatible server or (--local) the backends of this machine."""
    for task, instead in (("stt", "STT_MODELS or STT_STREAMING_MODELS"), ("tts", "TTS_MODELS")):
        if unused := given[f"{task}_realtime_models"]:
            terminal.note(f"{task.upper()}_REALTIME_MODELS is ignored ({', '.join(unused)}): name models for REST calls in {instead}.")
    options = options_of(given)
    settings = settings_of(options, given["tts_speed"])
    handler = logging.StreamHandler(sys.stderr)  # stdout may be the connection to the client
    handler.setFormatter(logs.formatter(settings.os_log_format, lambda: {"service": "wyoming"}))
    logging.basicConfig(handlers=[handler], level=given["log_level"].upper())
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request
    # The listening address determines which models a request may cause to be downloaded.
    engine = local_engine(settings.model_copy(update={"os_wyoming_enabled": True, "os_wyoming_uri": given["uri"]}))
    service = wyoming.service_of(engine, settings, options.options(), given["tts_instructions"])
    server = replace(wyoming.server_of(settings), uri=given["uri"])
    try:
        with parts.decoding(settings, at_once=False):
            asyncio.run(_serve(server, wyoming.admission_of(settings), service, settings))
    except OSError as error:
        raise click.ClickException(f"Cannot listen on {server.uri}: {error.strerror or error}.") from error


def options_of(given: dict[str, Any]) -> ServerOptions:
    """Collect the options of the command line. Raises WrongUse if they contradict each other."""

    def side(task: str) -> Side:
        models = {name: given[f"{task}_{name}"] for name in ("models", "streaming_models")}
        return Side(
            given[f"{task}_openai_url"], given[f"{task}_openai_key"], models["models"], models["streaming_models"],
            given[f"{task}_backend"], given.get(f"{task}_voices", ()),
        )  # fmt: skip

    options = ServerOptions(
        side("stt"), side("tts"), given["upstream"], given["languages"], given["stt_temperature"], given["stt_prompt"], given["local"]
    )
    if options.local and (options.upstream or options.stt != Side() or options.tts != Side()):
        raise WrongUse("--local uses no other server: leave out --upstream and the options for other servers.")
    return options


def settings_of(options: ServerOptions, speed: float | None) -> Settings:
    """Build the settings. Raises SettingsError."""
    environ = dict(os.environ)  # noqa: TID251 - the command line reads the environment
    variables = options.settings(environ if speed is None else environ | {"TTS_SPEED": str(speed)})
    with warnings.catch_warnings(record=True) as deprecations:
        warnings.simplefilter("always", DeprecationWarning)
        settings = config.load(variables)
    for warning in deprecations:
        terminal.note(str(warning.message))
    return settings


async def _serve(server: WyomingServer, admission: ConnectionLimit, service: Service, settings: Settings) -> None:
    """Serve until the client at the pipe disconnects, or the process receives SIGTERM."""
    await wyoming.acquaint(service.engine, settings)
    watching = asyncio.create_task(watch(service.engine.registry, settings))
    try:
        if server.uri == PIPE:
            await serve_pipe(service)
            return
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        async with serving(server, admission, service, after=TIDYING.soon):
            await stopped.wait()
    finally:
        watching.cancel()


command = Command("wyoming", params=list(OPTIONS), callback=_run, help=_run.__doc__)
