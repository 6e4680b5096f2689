"""Remote debugging: each process of the server listens for a debugger on a port of its own, if the settings enable it."""

from __future__ import annotations

import importlib.util
import logging
import os

from open_speech.config import Settings, SettingsError
from runners.catalog.placement import plan

log = logging.getLogger("open_speech.debugger")

FRONT, WYOMING = "front", "wyoming"
"""Names of the processes that are not backends."""
INSTALL = "pip install 'open-speech[debug]'"


def processes(settings: Settings) -> tuple[str, ...]:
    """List the processes of the server: the front, Wyoming if it is enabled, and each backend with a process of its own."""
    backends = [placement.backend.name for placement in plan(settings) if placement.where == "process"]
    return (FRONT, *([WYOMING] if settings.os_wyoming_enabled else []), *backends)


def port_of(process: str, settings: Settings) -> int | None:
    """Return the port at which a process listens for a debugger; None if it may not be debugged.

    A runner that is served by itself is in no server's list of processes, and has the first port.
    """
    if not settings.debugpy_enable or (settings.debugpy_process and process not in settings.debugpy_process):
        return None
    order = settings.debugpy_process or processes(settings)
    return settings.debugpy_port + (order.index(process) if process in order else 0)


def check(settings: Settings) -> None:
    """Check the settings of a server before it starts. Raises SettingsError if debugpy is missing or a process does not exist."""
    if not settings.debugpy_enable:
        return
    if importlib.util.find_spec("debugpy") is None:
        raise SettingsError(f"DEBUGPY_ENABLE: the package debugpy is not installed: {INSTALL}")
    known = processes(settings)
    for name in settings.debugpy_process:
        if name not in known:
            raise SettingsError(f"DEBUGPY_PROCESS: this server has no process {name!r}; it has {', '.join(known)}")


def listen(process: str, settings: Settings) -> None:
    """Listen for a debugger in this process, and wait for it if the settings say so.

    Never raises: BentoML would restart the process endlessly. A process that cannot listen logs the reason and serves.
    """
    port = port_of(process, settings)
    if port is None:
        return
    try:
        import debugpy  # noqa: PLC0415 - an optional package, needed only here
    except ImportError:
        log.error("%s cannot be debugged: %s", process, INSTALL)
        return
    # debugpy would warn on stderr that some modules of the standard library are frozen, and cannot be stepped through.
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # noqa: TID251 - debugpy has no other way to set it
    # Otherwise debugpy starts threads in forked children, and the decoding processes must have none.
    debugpy.configure(subProcess=False)
    try:
        debugpy.listen((settings.debugpy_host, port))
    except (RuntimeError, OSError) as error:
        log.error("%s cannot listen for a debugger on %s port %d: %s", process, settings.debugpy_host, port, error)
        return
    log.warning("%s listens for a debugger on %s port %d", process, settings.debugpy_host, port)
    if settings.debugpy_wait_for_client:
        log.warning("%s waits for a debugger", process)
        debugpy.wait_for_client()
