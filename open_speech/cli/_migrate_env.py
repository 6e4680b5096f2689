"""Files of environment variables (`.env`): reading and writing. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from open_speech.cli._migrate_settings import REFERENCE, Line, Variable


class UnreadableFile(ValueError):
    """A file is invalid. The message names the line and never its content, which may be a secret."""


_ASSIGNMENT = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<rest>.*)\Z", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$$"}
_PLAIN = re.compile(r"[^\s\"'#`\\]*")


def read(text: str) -> list[Variable]:
    """Parse a file, with its comments: a comment after a value becomes one before it. Raises UnreadableFile."""
    found: list[Variable] = []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        number, line = at + 1, lines[at].strip()
        at += 1
        if not line or line.startswith("#"):
            found.append(Variable(comment=line.lstrip("#").strip() if line else ""))
            continue
        assignment = _ASSIGNMENT.fullmatch(line)
        if assignment is None:
            raise UnreadableFile(f"line {number}: expected NAME=value")
        rest = assignment["rest"]
        if rest[:1] in ("'", '"'):
            while _end_of_quotes(rest) < 0 and at < len(lines):
                rest += "\n" + lines[at]
                at += 1
            value, comment = _quoted(rest, number)
        else:
            value, _, comment = _split_comment(rest)
        if comment:
            found.append(Variable(comment=comment))
        found.append(Variable(assignment["name"], value, literal=rest[:1] == "'"))
    return found


def _end_of_quotes(rest: str) -> int:
    """Return the position of the closing quotation mark; -1 if there is none."""
    mark, at = rest[0], 1
    while at < len(rest):
        if rest[at] == "\\" and mark == '"':
            at += 1
        elif rest[at] == mark:
            return at
        at += 1
    return -1


def _quoted(rest: str, number: int) -> tuple[str, str]:
    end = _end_of_quotes(rest)
    after = rest[end + 1 :].strip()
    if end < 0 or (after and not after.startswith("#")):
        raise UnreadableFile(f"line {number}: the quotation marks do not match")
    inner = rest[1:end]
    if rest[0] == '"':
        inner = re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), inner, flags=re.DOTALL)
    return inner, after.lstrip("#").strip()


def _split_comment(rest: str) -> tuple[str, str, str]:
    value, mark, comment = re.match(r"(?s)(.*?)(?:(\s#|\A#)(.*))?\Z", rest).groups(default="")  # type: ignore[union-attr]
    return value.strip(), mark, comment.strip()


def written(lines: Iterable[Line]) -> str:
    """Return the lines as a file. Values are quoted only where they must be: `docker run --env-file` reads quotation marks literally."""
    return "".join(f"{_written(line)}\n" for line in lines)


def _written(line: Line) -> str:
    if not line.name:
        return "".join(f"# {part}\n" for part in line.comment.splitlines()).rstrip("\n")
    value = line.value
    if value is None:
        return f"# {line.name} was passed on from the environment of the compose command."
    plain = line.literal or not REFERENCE.search(value.replace("$$", ""))
    if plain and "$" in value and "'" not in value:
        return f"{line.name}='{value if line.literal else value.replace('$$', '$')}'"
    if _PLAIN.fullmatch(value):
        return f"{line.name}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{line.name}="{escaped}"'
