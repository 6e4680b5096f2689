"""Patches of BentoML's arbiter, the process that starts and monitors the others: its sockets, and the environment of its children.

docs/decisions/0009-bentoml-patches.md describes each: the upstream issue, its test, and when it can be removed.
"""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import tempfile
from typing import Any

import circus.process
from _bentoml_impl.server import serving as services  # noqa: TID251 - with bentoml_patches.py, the home of what we change in BentoML
from bentoml import __version__ as version  # noqa: TID251
from bentoml import serving  # noqa: TID251
from bentoml._internal.utils import circus as arbiters  # noqa: TID251
from bentoml._internal.utils.uri import path_to_uri  # noqa: TID251
from circus.sockets import CircusSocket

from open_speech import config
from open_speech.config import Settings, SettingsError
from open_speech.sandbox import hide_memory
from runners.host import exits, own_service
from runners.host.environment import FRONT, WYOMING, handed_over
from runners.host.front_socket import in_place_of
from runners.host.on_demand import OnDemandWatcher

LONGEST_SOCKET_PATH = 103
"""Maximum bytes in the path of a Unix socket on macOS; 107 on Linux."""
log = logging.getLogger("bentoml.serve")


def replace(owner: Any, name: str, replacement: Any) -> None:
    """Replace a function of a package. Raises AttributeError if a new version of the package has moved it."""
    if not hasattr(owner, name):
        where = "docs/decisions/0009-bentoml-patches.md"
        raise AttributeError(f"BentoML {version}: {owner} has no `{name}`. A patch replaces it, see {where}.")
    setattr(owner, name, replacement)


def close_command_ports() -> None:
    """Remove the arbiter's listening sockets: by default it listens on two TCP ports of the loopback address, without a password.

    ZMQ's inproc:// uses no socket of the operating system, so nothing can connect from outside this process. Only a plugin, which
    `bentoml serve --reload` starts as a process, needs to connect; for it the sockets are Unix sockets in a private folder.
    """
    original = arbiters.Arbiter.__init__

    def init(self: Any, watchers: list[Any], *arguments: Any, **options: Any) -> None:
        place = f"inproc://{secrets.token_hex(8)}"
        folder = tempfile.TemporaryDirectory(prefix="open-speech-", ignore_cleanup_errors=True) if options.get("plugins") else None
        if folder is not None:
            place = f"ipc://{folder.name}"
        control, events = f"{place}/control", f"{place}/events"
        for endpoint in (control, events):
            _require_short(endpoint.removeprefix("ipc://"))
        original(self, watchers, *arguments, **(options | {"endpoint": control, "pubsub_endpoint": events}))
        if folder is not None:
            self.exit_stack.callback(folder.cleanup)

    replace(arbiters.Arbiter, "__init__", init)


def listen_on_the_unix_socket_of_the_settings() -> None:
    """Replace the TCP socket of the front with the Unix socket of OS_UNIX_SOCKET, if it is set, and log its path."""
    original, start_original = arbiters.Arbiter.__init__, arbiters.Arbiter.start

    def init(self: Any, watchers: list[Any], *arguments: Any, **options: Any) -> None:
        settings = config.load()
        serves_front = any(_service_name(watcher) == FRONT for watcher in watchers)
        if serves_front:
            options = options | {"sockets": in_place_of(options.get("sockets") or [], services.API_SERVER_NAME, settings)}
        self.unix_socket = settings.unix_socket if serves_front else None
        original(self, watchers, *arguments, **options)

    def start(self: Any, cb: Any = None) -> None:
        if self.unix_socket is not None:

            def cb(_: Any) -> None:
                log.info("Starting production BentoServer listening on the Unix socket %s (Press CTRL+C to quit)", self.unix_socket.path)

        start_original(self, cb)

    replace(arbiters.Arbiter, "__init__", init)
    replace(arbiters.Arbiter, "start", start)


def give_each_process_its_own_secrets() -> None:
    """Start each process with the variables that are not secrets and the secrets that it uses, instead of the whole environment."""
    original = arbiters.Arbiter.__init__

    def init(self: Any, watchers: list[Any], *arguments: Any, **options: Any) -> None:
        original(self, watchers, *arguments, **options)
        settings: Settings = config.load()
        for message in config.translated().messages:
            log.warning("%s", message)
        stand_in = secrets.token_hex(32)
        for watcher in self.watchers:
            name = _service_name(watcher)
            watcher.env = {**handed_over(watcher.env, name, settings, stand_in=stand_in), own_service.VARIABLE: name}
        if not settings.os_dumpable:  # the supervisor of a runner that is served by itself does not import service.py
            hide_memory()

    replace(arbiters.Arbiter, "__init__", init)


def give_each_process_its_own_socket() -> None:
    """Start each process with the listening socket that its command names, instead of the sockets of all processes."""
    original = circus.process.Popen

    def popen(command: list[str], **options: Any) -> Any:
        own = [int(number) for option, number in itertools.pairwise(command) if option == "--fd"]
        return original(command, **(options | {"close_fds": True, "pass_fds": own}))

    replace(circus.process, "Popen", popen)


def tell_each_process_how_its_predecessor_ended() -> None:
    """Start the successor of an ended process with the exit status of that process in its environment, which only the arbiter knows."""
    original = arbiters.Arbiter.__init__

    def init(self: Any, watchers: list[Any], *arguments: Any, **options: Any) -> None:
        original(self, watchers, *arguments, **options)
        for watcher in self.watchers:
            exits.Exits(watcher)

    replace(arbiters.Arbiter, "__init__", init)


def start_runners_at_first_use() -> None:
    """Start the process of each runner when a client first connects to its socket, if OS_START_RUNNERS says so."""
    original = arbiters.Arbiter.__init__

    def init(self: Any, watchers: list[Any], *arguments: Any, **options: Any) -> None:
        original(self, watchers, *arguments, **options)
        services = {_service_name(watcher): watcher for watcher in self.watchers}
        if FRONT not in services or config.load().os_start_runners == "eager":
            return  # a runner that is served by itself is used from another machine, and has nobody who knows that it sleeps
        for name, watcher in services.items():
            is_runner = name not in ("", FRONT, WYOMING)
            marker = f"{self.sockets[name].path}{own_service.AWAKE_SUFFIX}" if is_runner else "1"
            watcher.env = {**(watcher.env or {}), own_service.ON_DEMAND: marker}
            if is_runner:
                OnDemandWatcher.make(watcher, name)

    replace(arbiters.Arbiter, "__init__", init)


def keep_runners_on_private_unix_sockets() -> None:
    """Make runners always listen on Unix sockets in BentoML's folder, which `tempfile.mkdtemp` creates with mode 0700."""
    replace(services, "_get_server_socket", private_socket)


def make_the_metrics_folder_private() -> None:
    """Give BentoML's folder of Prometheus files mode 0700."""
    original = serving.ensure_prometheus_dir

    def ensure_private_dir(*arguments: Any, **options: Any) -> str:
        folder = original(*arguments, **options)
        os.chmod(folder, 0o700)
        return folder

    replace(serving, "ensure_prometheus_dir", ensure_private_dir)


PATCHES = (
    close_command_ports,
    listen_on_the_unix_socket_of_the_settings,
    give_each_process_its_own_secrets,
    give_each_process_its_own_socket,
    tell_each_process_how_its_predecessor_ended,
    start_runners_at_first_use,
    keep_runners_on_private_unix_sockets,
    make_the_metrics_folder_private,
)


def _service_name(watcher: Any) -> str:
    """Return the name of the service that a watcher starts; empty for a plugin."""
    arguments = watcher.args if isinstance(watcher.args, list) else []
    return next((name for option, name in itertools.pairwise(arguments) if option == "--service-name"), "")


def private_socket(service: Any, folder: str, port_stack: Any, backlog: int) -> tuple[str, CircusSocket]:
    """Create the socket of a runner in a folder, accessible to its own user alone. Raises SettingsError if its path is too long."""
    path = _require_short(os.path.join(folder, f"{service.name}.sock"))
    return path_to_uri(path), CircusSocket(name=service.name, path=path, backlog=backlog, umask=0o077)


def _require_short(path: str) -> str:
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise SettingsError(f"TMPDIR is too long: the socket {path} would have more than {LONGEST_SOCKET_PATH} bytes in its path.")
    return path


def seal() -> None:
    """Make all open file descriptors except the standard streams non-inheritable, so that programs started by this process lack them.

    Called at the start of each service's process.
    """
    for number in map(int, os.listdir("/dev/fd")):
        try:
            os.set_inheritable(number, number <= 2)
        except OSError:  # the descriptor of the listing itself
            continue
