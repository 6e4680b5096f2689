"""What the kernel knows of a running server: its sockets and the environment of its processes. Linux only."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.served import Served

NOBODY = 65534
LISTENS_TCP, LISTENS_UNIX = "0A", "00010000"


@dataclass
class Sockets:
    """Where a server listens."""

    tcp: set[int] = field(default_factory=set)
    """Ports."""
    udp: set[int] = field(default_factory=set)
    unix: set[str] = field(default_factory=set)
    """Paths of listening unix sockets; the name of an abstract one begins with `@`."""
    named: set[str] = field(default_factory=set)
    """Names of all abstract unix sockets, whether they listen or not."""


def sockets_of(processes: Iterable[psutil.Process]) -> Sockets:
    """Find what these processes listen on. Needs the right to read their descriptors."""
    inodes = {inode for process in processes for inode in inodes_of(process)}
    found = Sockets()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for row in rows(table):
            if row[9] in inodes and table.startswith("tcp") and row[3] == LISTENS_TCP:
                found.tcp.add(int(row[1].rpartition(":")[2], 16))
            elif row[9] in inodes and table.startswith("udp"):
                found.udp.add(int(row[1].rpartition(":")[2], 16))
    for row in rows("unix"):
        if len(row) > 7 and row[6] in inodes:
            if row[3] == LISTENS_UNIX:
                found.unix.add(row[7])
            if row[7].startswith("@"):
                found.named.add(row[7])
    return found


def rows(table: str) -> list[list[str]]:
    lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:] if Path(f"/proc/net/{table}").exists() else []
    return [line.split() for line in lines]


def inodes_of(process: psutil.Process) -> set[str]:
    """Give the inodes of the sockets that a process has open."""
    found = set()
    folder = Path(f"/proc/{process.pid}/fd")
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):  # closed since
            target = os.readlink(folder / name)
            if target.startswith("socket:["):
                found.add(target[8:-1])
    return found


def by_service(served: Served) -> dict[str, list[psutil.Process]]:
    """Group the processes of a server by BentoML service; `arbiter` supervises them, `decoder` is the fork server and its children."""
    found: dict[str, list[psutil.Process]] = {}
    for process in served.processes():
        with suppress(psutil.NoSuchProcess):
            words = process.cmdline()
            if "--service-name" in words:
                name = words[words.index("--service-name") + 1]
            else:
                name = "decoder" if any("fork_server" in word for word in words) else "arbiter"
            found.setdefault(name, []).append(process)
    return found


def environ_of(process: psutil.Process) -> dict[str, str]:
    """Read the environment that a process was started with. Raises PermissionError if the process conceals it."""
    lines = Path(f"/proc/{process.pid}/environ").read_bytes().decode(errors="surrogateescape").split("\0")
    return {name: value for name, _, value in (line.partition("=") for line in lines) if name}


ANOTHER_USER = f"""
import json, os, socket, sys
job = json.load(sys.stdin)
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
got = []
for pid in job["pids"]:
    for name in ("environ", "mem", "fd"):
        path = f"/proc/{{pid}}/{{name}}"
        try:
            os.close(os.open(path, os.O_RDONLY))
            got.append(path)
        except PermissionError:
            pass
for kind, address in job["addresses"]:
    with socket.socket(getattr(socket, kind)) as client:
        client.settimeout(10)
        try:
            client.connect(tuple(address) if isinstance(address, list) else address)
            got.append(address)
        except PermissionError:
            pass
print(got)
"""


def opened_by_another_user(processes: Iterable[psutil.Process], addresses: list[tuple[str, object]]) -> list[object]:
    """Have the user `nobody` read these processes' memory, environment and descriptors, and connect to these addresses.

    Returns what that user could open. `addresses` are pairs of address family and address. Needs root.
    """
    job = {"pids": [process.pid for process in processes], "addresses": addresses}
    command = [sys.executable, "-I", "-c", ANOTHER_USER]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, timeout=120, check=True)
    return list(ast.literal_eval(done.stdout))
