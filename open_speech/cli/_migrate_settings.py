"""Variables of another server -> lines of this server's settings, with a comment for each that has no counterpart. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from open_speech import config
from open_speech.config import old_names
from open_speech.config.old_names import BY_NAME, OldName, Outcome, System
from open_speech.config.old_names.values import PREFIXES

REFERENCE = re.compile(r"\$\{(?P<name>[A-Za-z_]\w*)(?:(?P<mark>:?[-?+])(?P<text>[^{}]*))?\}|\$(?P<bare>[A-Za-z_]\w*)")
"""A reference to a variable in a compose or .env file. `$$` is no reference; it is set aside before."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the result: a variable with its value, or a comment."""

    name: str = ""
    """Empty for a comment."""
    value: str | None = ""
    """None: the variable is passed on from the environment of the compose command."""
    comment: str = ""
    literal: bool = False
    """Whether `$` in the value is a plain character."""
    lost: str = ""
    """The variable that needs attention; the comment gives the reason."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the file, or one of its own comments."""

    name: str = ""
    value: str | None = ""
    comment: str = ""
    literal: bool = False


def resolved(value: str) -> str:
    """Return a value with each reference replaced by its default; empty where it has none."""

    def default(reference: re.Match[str]) -> str:
        return reference["text"] or "" if (reference["mark"] or "").endswith("-") else ""

    return "$".join(REFERENCE.sub(default, part) for part in value.split("$$"))


def is_open(value: str | None) -> bool:
    """Return whether a value depends on a variable without a default."""
    if value is None:
        return True
    return any(not (reference["mark"] or "").endswith("-") for reference in REFERENCE.finditer(value.replace("$$", "")))


def plain(variable: Variable | Line) -> str:
    """Return the value that a variable has if no variable that it refers to is set."""
    return (variable.value or "") if variable.literal else resolved(variable.value or "")


def canonical(name: str) -> str:
    """Return the name as the tables write it: most of these servers ignore the case of their variables."""
    upper = name.upper()
    return upper if upper in BY_NAME or upper in config.names() else name


def converted(variables: Sequence[Variable], systems: Collection[System]) -> list[Line]:
    """Convert the variables of servers in `systems`, in their order; settings that follow from them come last."""
    variables = [replace(variable, name=canonical(variable.name)) for variable in variables]
    environ = {variable.name: plain(variable) for variable in variables if variable.name}
    rows = {row.name: row for row in old_names.rows_for(environ, config.names(), systems, certain=True)}
    values = old_names.old_values(environ, systems, certain=True)
    lines: list[Line] = []
    for variable in variables:
        if not variable.name:
            lines.append(Line(comment=variable.comment))
            continue
        lines += _line(variable, rows.get(variable.name), values.get(variable.name), environ, systems)
    lines = list(_once(lines))
    done = environ.keys() | {line.name for line in lines} | {row.setting for row in rows.values()}
    after = old_names.translate(environ, config.names(), systems=systems, certain=True).environ
    return lines + [Line(name, after[name]) for name in config.names() if name in after and name not in done]


def _line(
    variable: Variable, row: OldName | None, value: Outcome | None, environ: Mapping[str, str], systems: Collection[System]
) -> list[Line]:
    name = variable.name
    if value is not None:
        if value.settings.get(name) == environ[name]:
            return [Line(comment=f"{name}: {value.reason}"), *_copied(variable, systems)]
        new = [Line(each, text) for each, text in value.settings.items()]
        return [Line(comment=f"{name}: {value.reason}", lost="" if new else name), *new]
    if row is None or (row.silent and not row.setting):
        return _copied(variable, systems)
    found = old_names.outcome(row, environ)
    if not found.settings:
        return [Line(comment=f"{name} {found.reason or 'is not needed: this server does the same.'}", lost=name if found.reason else "")]
    ((setting, text),) = found.settings.items()
    if variable.literal or not _has_references(variable.value):
        if row.convert is not None and variable.value is not None:
            return [Line(setting, text, literal=True)]
        return [Line(setting, variable.value, literal=variable.literal)]
    return list(_referring(variable, row, (setting, text), systems))


def _copied(variable: Variable, systems: Collection[System]) -> list[Line]:
    """Return a setting of this server or a variable of another program, as it is."""
    if variable.name.startswith(PREFIXES) and variable.name not in config.names() and variable.name not in config.FOREIGN:
        return [Line(comment=f"{variable.name} is not a setting of this server, nor of a server that it knows.", lost=variable.name)]
    value = variable.value if variable.literal or variable.value is None else renamed(variable.value, systems)
    return [Line(variable.name, value, literal=variable.literal)]


def _referring(variable: Variable, row: OldName, result: tuple[str, str], systems: Collection[System]) -> Iterable[Line]:
    """Yield the line for a value that refers to variables: the reference stays, under its new name and with a converted default."""
    value = variable.value or ""
    setting, text = result
    if row.convert is None:
        yield Line(setting, renamed(value, systems))
        return
    reference = REFERENCE.fullmatch(value)
    if reference is None:
        yield Line(comment=f"{variable.name}: set {setting} by hand, because the value consists of several parts.", lost=variable.name)
        return
    name = reference["name"] or reference["bare"]
    new = _new_name(name, systems)
    if new == name:
        yield Line(comment=f"{name} must now have a value of {setting}.")
    mark, rest = reference["mark"] or "", reference["text"] or ""
    yield Line(setting, f"${{{new}{mark}{text if mark.endswith('-') and rest else rest}}}")


def _has_references(value: str | None) -> bool:
    return bool(value and REFERENCE.search(value.replace("$$", "")))


def _new_name(name: str, systems: Collection[System]) -> str:
    row = BY_NAME.get(name)
    return row.setting if row is not None and row.setting and set(row.systems) & set(systems) else name


def renamed(value: str, systems: Collection[System]) -> str:
    """Return a value in which references to variables with old names have the new names."""

    def reference_to(reference: re.Match[str]) -> str:
        new = _new_name(reference["name"] or reference["bare"], systems)
        return f"${{{new}{reference['mark'] or ''}{reference['text'] or ''}}}" if reference["name"] else f"${new}"

    return "$$".join(REFERENCE.sub(reference_to, part) for part in value.split("$$"))


def _once(lines: Iterable[Line]) -> Iterable[Line]:
    """Yield the lines; of several for one variable the first."""
    seen: dict[str, str | None] = {}
    for line in lines:
        if line.name and line.name in seen:
            if seen[line.name] != line.value:
                yield Line(comment=f"{line.name} was set twice, with different values; the first is used.")
            continue
        if line.name:
            seen[line.name] = line.value
        yield line


def wyoming_warning(lines: Iterable[Line]) -> list[Line]:
    """Return a comment if the server would refuse to start Wyoming, which has no API keys, beside its API key."""
    environ = {line.name: plain(line) for line in lines if line.name}
    uri, host = environ.get("OS_WYOMING_URI", ""), environ.get("OS_WYOMING_HOST", "0.0.0.0")
    exposed = not re.match(r"(tcp://(127\.|localhost)|unix:)", uri) if uri else not host.startswith(("127.", "localhost"))
    if environ.get("OS_WYOMING_ENABLED") != "true" or "OS_API_KEY" not in environ or "OS_WYOMING_ALLOWED_HOSTS" in environ or not exposed:
        return []
    text = "Wyoming has no API keys: with OS_API_KEY, name the addresses that may connect in OS_WYOMING_ALLOWED_HOSTS, or the start fails."
    return [Line(comment=text, lost="OS_WYOMING_ALLOWED_HOSTS")]


def check(lines: Iterable[Line]) -> None:
    """Raise SettingsError if the server would not start with the result. Values that depend on other variables are not checked."""
    environ = {}
    for line in lines:
        if line.name and not (is_open(line.value) and not line.literal):
            environ[line.name] = plain(line)
        elif line.name in config.secrets():
            environ[line.name] = "placeholder"
    config.load({name: value for name, value in environ.items() if name in config.names()})
