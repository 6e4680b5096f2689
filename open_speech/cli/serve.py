"""`open-speech serve`: pulls weights, then becomes BentoML's supervisor."""

from __future__ import annotations

import importlib
import importlib.util
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import click

from open_speech import config
from open_speech.cli import WrongUse, one_line
from open_speech.cli import _terminal as terminal
from open_speech.cli import _weights as weights
from open_speech.config import Settings
from open_speech.errors import SpeechError
from open_speech.http import tls, unix_sockets
from open_speech.weights import Store
from runners import catalog
from runners.catalog.placement import left_out, plan
from runners.host import debugger
from runners.wiring import runner_parts as parts
from runners.wiring import supervisor_parts

GRACE_S = 10
"""Seconds that running requests have to finish at shutdown; BentoML alone would wait for them indefinitely."""


@click.command(name="serve")
@click.option("--host", help="Address to listen on. Default: OS_HOST.")
@click.option("--port", help="Port to listen on. Default: OS_PORT.")
@click.option("--unix-socket", help="Path of a Unix socket to listen on instead of a port. Default: OS_UNIX_SOCKET.")
@click.option("--no-pull", is_flag=True, help="Do not pull missing weights first; each model is downloaded at its first use.")
def command(host: str | None, port: str | None, unix_socket: str | None, no_pull: bool) -> None:
    """Pull missing weights and start the server."""
    settings = terminal.settings(OS_HOST=host, OS_PORT=port, OS_UNIX_SOCKET=unix_socket)
    if settings.unix_socket is not None and not (host is None and port is None):
        raise WrongUse(f"The server listens on the Unix socket {settings.unix_socket.path}: leave out --host and --port.")
    require_backends(settings)
    supervisor_parts.check_presets(settings)
    debugger.check(settings)
    if busy := address_trouble(settings):
        raise click.ClickException(busy)
    if not no_pull:
        _pull(settings, parts.store(settings))
    certificate = tls.certificate(settings)
    arguments = serve_arguments(settings, service_folder(), certificate)
    if certificate is not None:
        _show_certificate(certificate)
    sys.stdout.flush()
    environ = os.environ  # noqa: TID251 - this process becomes the server, which builds its own settings from it
    become_server(arguments, serve_environment(environ, settings))


def become_server(arguments: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Run BentoML's command line in this process, with this environment; ends with its exit code.

    A new interpreter would import half of the same modules again, which takes half a second.
    """
    environ = os.environ  # noqa: TID251 - as above
    for name in set(environ) - set(environment):
        del environ[name]
    environ.update(environment)
    sys.argv = ["bentoml", *arguments]
    # Not imported above: BentoML reads its part of the environment at its import.
    importlib.import_module("bentoml_cli.cli").cli(arguments, prog_name="bentoml")
    raise SystemExit(0)


def require_backends(settings: Settings) -> None:
    """Report the backends that are left out because they are not installed; raise WrongUse if a task has no backend left."""
    missing = left_out(settings)
    for report in catalog.plugin_reports():
        terminal.note(str(report))
    for entry in missing:
        terminal.note(f"{entry.name} is not installed and is disabled: {entry.remedy}")
    served = {placement.backend.task for placement in plan(settings)}
    for entry in missing:
        if entry.task not in served:
            raise WrongUse(f"No backend for {entry.task} is installed: {entry.remedy}")


def address_trouble(settings: Settings) -> str:
    """Return why the server cannot listen on the address in the settings, in one line; empty if it can."""
    if settings.unix_socket is not None:
        path = settings.unix_socket.path
        problem = unix_sockets.trouble(path)
        return unix_sockets.message(path, problem) if problem else ""
    return port_trouble(settings.os_host, settings.os_port)


def port_trouble(host: str, port: int) -> str:
    """Return why the server cannot listen on a port, in one line; empty if it can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As in the server itself, so that a port whose last connections are still closing counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --host and --port."
    return ""


def service_folder() -> Path:
    """Return the folder of service.py, which is not imported here because it composes the whole server."""
    spec = importlib.util.find_spec("service")
    if spec is None or spec.origin is None:
        raise click.ClickException("service.py is missing from this installation: install open-speech again.")
    return Path(spec.origin).parent


def serve_arguments(settings: Settings, folder: Path, certificate: tls.Certificate | None = None) -> list[str]:
    """Return the arguments of `bentoml` that serve these settings, over HTTPS if there is a certificate."""
    arguments = ["serve", "service:OpenSpeech", "--working-dir", str(folder)]
    arguments += ["--host", settings.os_host, "--port", str(settings.os_port), "--timeout-graceful-shutdown", str(GRACE_S)]
    if certificate is not None:
        arguments += ["--ssl-certfile", str(certificate.certfile), "--ssl-keyfile", str(certificate.keyfile)]
    return arguments


def serve_environment(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return the server's environment, made from this process's environment; its old names are replaced, as they were reported already."""
    variables = {**config.translated(environ).environ, "BENTOML_DO_NOT_TRACK": "True"}
    # BentoML would assign another GPU, or none, to each runner; the runners choose by STT_DEVICE and TTS_DEVICE.
    variables["BENTOML_DISABLE_GPU_ALLOCATION"] = "1"
    # If this variable is present, crashed runners are not restarted, and the whole server would end with the first of them.
    variables.pop("BENTOML_CONTAINERIZED", None)
    variables |= {
        "OS_HOST": settings.os_host,
        "OS_PORT": str(settings.os_port),
        "OS_MODELS_DIR": str(settings.models_dir.absolute()),
    }
    return variables | ({"OS_UNIX_SOCKET": str(settings.unix_socket.path)} if settings.unix_socket else {})


def _show_certificate(certificate: tls.Certificate) -> None:
    """Print what clients have to trust, because a certificate generated here is not signed by an authority."""
    terminal.note(f"HTTPS with the certificate {certificate.public}")
    terminal.note(f"SHA-256 {certificate.fingerprint()}")


def _pull(settings: Settings, store: Store) -> None:
    """Download the weights; a missing default model is an error, a further missing model is only reported."""
    defaults = parts.registry(settings, {}).defaults
    for model in weights.needed(settings):
        try:
            weights.pull(store, [model])
        except SpeechError as error:
            if model.id in (defaults.stt_model, defaults.tts_model):
                raise click.ClickException(f"{one_line(error)} Use --no-pull to start without it.") from error
            terminal.note(f"{model.id} is not downloaded: {one_line(error)}")
