"""Dialogue sessions on disk: one file per session, which only the server's user can read. Blocking."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from open_speech.dialogue.memory import Conversation, SessionKey, Turn
from open_speech.security.private_files import make_private, make_private_folder, open_private, settle, sync

log = logging.getLogger("open_speech.dialogue")

VERSION = 1
FILE_BYTES = 8 << 20
"""Maximum size of a file; a larger one is damaged."""
_SUFFIX, _PART = ".json", ".part"


class MemoryStore:
    """The folder of the sessions. A file is replaced as a whole, so it is never half written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser()

    def read(self) -> dict[SessionKey, Conversation]:
        """Return all sessions. A damaged file is logged and deleted: its session is forgotten. Raises OSError for the folder itself."""
        make_private_folder(self._folder)
        make_private(self._folder)
        found: dict[SessionKey, Conversation] = {}
        for path in sorted(self._folder.iterdir()):
            if path.suffix == _PART:
                path.unlink(missing_ok=True)
            elif path.suffix == _SUFFIX:
                self._read_one(path, found)
        return found

    def write(self, key: SessionKey, conversation: Conversation) -> None:
        """Store a session. Raises OSError."""
        make_private_folder(self._folder)
        path = self._path(key)
        part = path.with_suffix(_PART)
        with open_private(part, "wb") as file:
            file.write(json.dumps(_document(key, conversation)).encode())
            settle(file)
        os.replace(part, path)
        sync(self._folder)

    def delete(self, key: SessionKey) -> None:
        """Delete a session, if it is stored. Raises OSError."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: SessionKey) -> Path:
        return self._folder / f"{key.digest}{_SUFFIX}"

    def _read_one(self, path: Path, found: dict[SessionKey, Conversation]) -> None:
        try:
            if path.is_symlink() or path.stat().st_size > FILE_BYTES:
                raise ValueError("not a file of a session")
            key, conversation = _parsed(json.loads(path.read_bytes()))
            if path != self._path(key):
                raise ValueError("the name of another session")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("the dialogue session in %s is damaged and is forgotten: %s", path.name, type(error).__name__)
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("the dialogue session in %s cannot be read: %s", path.name, error.strerror)
        else:
            found[key] = conversation


def _document(key: SessionKey, conversation: Conversation) -> dict[str, Any]:
    turns = [{"user": turn.user, "assistant": turn.assistant, "tokens": turn.tokens} for turn in conversation.turns]
    return {"version": VERSION, "owner": key.owner, "id": key.id, "used_at": conversation.used_at, "turns": turns}


def _parsed(document: Any) -> tuple[SessionKey, Conversation]:
    """Convert a document back. Raises KeyError, TypeError or ValueError for anything else."""
    if document["version"] != VERSION:
        raise ValueError("another version")
    turns = tuple(Turn(_text(turn["user"]), _text(turn["assistant"]), int(turn["tokens"])) for turn in document["turns"])
    return SessionKey(_text(document["owner"]), _text(document["id"])), Conversation(turns, float(document["used_at"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
