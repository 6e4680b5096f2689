"""What BentoML's arbiter, the process that starts and watches the others, opens and hands to its children: as little as possible.

`runners/host/bentoml_patches.py` numbers these changes with its own and applies them.
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
from bentoml import serving  # noqa: TID251
from bentoml._internal.utils import circus as arbiters  # noqa: TID251
from bentoml._internal.utils.uri import path_to_uri  # noqa: TID251
from circus.sockets import CircusSocket

from open_speech import config
from open_speech.config import SettingsError
from open_speech.sandbox import hide_memory
from runners.host.environment import FRONT, handed_over
from runners.host.front_socket import in_place_of

LONGEST_SOCKET_PATH = 103
"""Bytes that the path of a unix socket may have on macOS; Linux takes 107."""
log = logging.getLogger("bentoml.serve")
_init = arbiters.Arbiter.__init__
_start = arbiters.Arbiter.start
_popen = circus.process.Popen
_ensure_prometheus_dir = serving.ensure_prometheus_dir


def _init_private(self: Any, watchers: list[Any], *arguments: Any, **options: Any) -> None:
    """Build the arbiter without listening sockets, and give each of its children an environment of its own."""
    # ZMQ's inproc:// takes no socket of the operating system: nothing can connect from outside this process. Only a plugin, which
    # `bentoml serve --reload` starts as a process, needs one that can.
    place = f"inproc://{secrets.token_hex(8)}"
    folder = tempfile.TemporaryDirectory(prefix="open-speech-", ignore_cleanup_errors=True) if options.get("plugins") else None
    if folder is not None:
        place = f"ipc://{folder.name}"
    control, events = f"{place}/control", f"{place}/events"
    for endpoint in (control, events):
        _require_short(endpoint.removeprefix("ipc://"))
    settings = config.load()
    serves_front = any(_service_name(watcher) == FRONT for watcher in watchers)
    if serves_front:
        options = options | {"sockets": in_place_of(options.get("sockets") or [], services.API_SERVER_NAME, settings)}
    self.unix_socket = settings.unix_socket if serves_front else None
    _init(self, watchers, *arguments, **(options | {"endpoint": control, "pubsub_endpoint": events}))
    if folder is not None:
        self.exit_stack.callback(folder.cleanup)
    stand_in = secrets.token_hex(32)
    for watcher in self.watchers:
        watcher.env = handed_over(watcher.env, _service_name(watcher), settings, stand_in=stand_in)
    if not settings.os_dumpable:  # a runner that is served by itself has a supervisor that does not import service.py
        hide_memory()


def _start_and_say_where(self: Any, cb: Any = None) -> None:
    """Start the arbiter. BentoML's log line names a host and a port, which a server on a Unix socket does not listen on."""
    if self.unix_socket is not None:

        def cb(_: Any) -> None:
            log.info("Starting production BentoServer listening on the Unix socket %s (Press CTRL+C to quit)", self.unix_socket.path)

    _start(self, cb)


def _service_name(watcher: Any) -> str:
    """Return the name of the service that a watcher starts; empty for a plugin."""
    arguments = watcher.args if isinstance(watcher.args, list) else []
    return next((name for option, name in itertools.pairwise(arguments) if option == "--service-name"), "")


def _popen_with_one_socket(command: list[str], **options: Any) -> Any:
    own = [int(number) for option, number in itertools.pairwise(command) if option == "--fd"]
    return _popen(command, **(options | {"close_fds": True, "pass_fds": own}))


def _private_socket(service: Any, folder: str, port_stack: Any, backlog: int) -> tuple[str, CircusSocket]:
    """Make the socket of a runner in BentoML's folder, which `tempfile.mkdtemp` has made with mode 0700."""
    path = _require_short(os.path.join(folder, f"{service.name}.sock"))
    return path_to_uri(path), CircusSocket(name=service.name, path=path, backlog=backlog, umask=0o077)


def _require_short(path: str) -> str:
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise SettingsError(f"TMPDIR is too long: the socket {path} would have more than {LONGEST_SOCKET_PATH} bytes in its path.")
    return path


def _private_prometheus_dir(*arguments: Any, **options: Any) -> str:
    folder = _ensure_prometheus_dir(*arguments, **options)
    os.chmod(folder, 0o700)
    return folder


def seal() -> None:
    """Have the descriptors that this process was started with closed in the programs that it starts, except the standard streams.

    Called at the start of each service's process.
    """
    for number in map(int, os.listdir("/dev/fd")):
        try:
            os.set_inheritable(number, number <= 2)
        except OSError:  # the descriptor of the listing itself
            continue


def apply() -> None:
    """Put the changes in place; safe to call again. Raises AttributeError when a new BentoML has moved what they replace."""
    _ = services._get_server_socket, circus.process.Popen, serving.ensure_prometheus_dir
    arbiters.Arbiter.__init__ = _init_private  # type: ignore[method-assign]
    arbiters.Arbiter.start = _start_and_say_where  # type: ignore[method-assign]
    circus.process.Popen = _popen_with_one_socket
    services._get_server_socket = _private_socket
    serving.ensure_prometheus_dir = _private_prometheus_dir
