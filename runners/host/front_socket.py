"""The Unix socket of the front, in place of the TCP socket that BentoML creates for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from circus.sockets import CircusSocket

from open_speech.config import Settings
from open_speech.config.server import UnixSocket
from open_speech.http import unix_sockets


class FrontSocket(CircusSocket):  # type: ignore[misc]
    """A socket of the arbiter that replaces the socket file of a server that has ended, and removes its own file when it is closed."""

    def __init__(self, name: str, place: UnixSocket, backlog: int) -> None:
        """`name` is the arbiter's name for the socket, which the command of the front's process refers to."""
        super().__init__(name=name, path=str(place.path), backlog=backlog)
        self._place = place
        self._identity: unix_sockets.Identity | None = None

    def bind_and_listen(self) -> None:
        """Bind the socket and listen. Raises SettingsError if the path cannot be used."""
        self._identity = unix_sockets.listen(self, self._place.path, mode=self._place.mode, backlog=self.backlog)
        self.setblocking(False)

    def close(self) -> None:
        """Stop listening and remove the socket file, unless another server has replaced it."""
        super(CircusSocket, self).close()  # CircusSocket would remove any file at the path
        if self._identity is not None:
            unix_sockets.remove(Path(self.path), self._identity)
            self._identity = None


def in_place_of(sockets: list[Any], name: str, settings: Settings) -> list[Any]:
    """Return the arbiter's sockets, with a FrontSocket for the one called `name` if the settings name a Unix socket."""
    place = settings.unix_socket
    if place is None:
        return sockets
    replaced = []
    for each in sockets:
        if each.name == name:
            each.close()
            replaced.append(FrontSocket(name, place, each.backlog))
        else:
            replaced.append(each)
    return replaced
