"""The environment of another server -> settings of this one, with a message for each variable that is not one. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from open_speech.config.old_names.rows import TABLE, VALUES
from open_speech.config.old_names.values import AT_START, PREFIXES, Environ, OldName, System

_USER = re.compile(r"://[^/\s]*@")

LABELS = {
    System.OPEN_SPEECH: "Open Speech 0.7", System.WYOMING_OPENAI: "wyoming_openai", System.VOICE_STACK: "Voice Stack",
    System.GEMMAVOICE: "GemmaVoice", System.SPEACHES: "speaches", System.KOKORO_FASTAPI: "Kokoro-FastAPI",
    System.WHISPER_ASR: "whisper-asr-webservice",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one variable of another server is here."""

    settings: Mapping[str, str] = field(default_factory=dict)
    """The setting that takes its value; empty if there is none."""
    implied: Mapping[str, str] = field(default_factory=dict)
    """Further settings, where the environment does not set them."""
    reason: str = ""
    """Why there is no setting, as the rest of a sentence that begins with the name; empty if there is nothing to say."""


@dataclass(frozen=True, slots=True)
class Translation:
    """An environment of current names."""

    environ: Mapping[str, str]
    messages: tuple[str, ...]
    """One line for each variable with an old name or an old value. They contain no secrets."""
    source: Mapping[str, str] = field(default_factory=dict)
    """Setting -> the old name that set it."""


def systems_of(environ: Iterable[str]) -> frozenset[System]:
    """Return the systems of which the environment has a name that no other program uses."""
    names = set(environ)
    rows = [row for row in TABLE if row.name in names and not (row.shared or row.silent)]
    own = {system: {row.name for row in rows if system in row.systems} for system in System}
    order = list(System)

    def is_explained(system: System) -> bool:
        """Return whether another system has these names and more, or the same names and comes first: ASR_MODEL is a name of two."""
        return any(own[system] < own[other] or (own[system] == own[other] and order.index(other) < order.index(system)) for other in order)

    return frozenset(system for system in order if own[system] and not is_explained(system))


def rows_for(environ: Environ, known: Collection[str], systems: Collection[System], *, certain: bool = False) -> list[OldName]:
    """List the rows of `systems` for an environment; names in `known` are settings of this server.

    If it is `certain` that the environment is that of `systems`, names that other programs use too are read without another name.
    """
    present = systems if certain else systems_of(name for name in environ if name not in known)
    return [
        row
        for row in TABLE
        if row.name in environ
        and row.name not in known
        and any(system in systems and (not row.shared or system in present) for system in row.systems)
    ]


def outcome(row: OldName, environ: Environ) -> Outcome:
    """Return what the variable of a row is here."""
    value = environ[row.name]
    if ignored := row.ignored(environ):
        return Outcome(reason=f"has no effect because {ignored}. To use its value, set {row.setting}. {row.note}".strip())
    if value.strip().lower() in row.same:
        return Outcome()
    if not row.setting:
        return Outcome(reason="" if row.silent else f"has no counterpart. {row.note}")
    converted = value if row.convert is None else row.convert(value, environ)
    if converted is None:
        return Outcome(reason="" if row.silent else f"has a value that {row.setting} does not have. {row.note}".strip())
    return Outcome({row.setting: converted}, row.implies(converted, environ) if row.implies else {})


def old_values(environ: Environ, systems: Collection[System], *, certain: bool = False) -> dict[str, Outcome]:
    """Return the settings of an environment that have a value of another server; `certain` as in `rows_for`."""
    present = systems if certain else systems_of(environ)
    found = {}
    for rule in VALUES:
        value = environ.get(rule.setting)
        if value is None or not set(rule.systems) & set(systems) or not (rule.beside is None or rule.beside in present):
            continue
        if rule.applies(value, environ):
            kept = value if rule.keeps else rule.becomes
            implied = rule.implies(value, environ) if rule.implies else {}
            found[rule.setting] = Outcome({} if kept is None else {rule.setting: kept}, implied, rule.note)
    return found


def translate(
    environ: Environ,
    known: Collection[str],
    hidden: Collection[str] = (),
    systems: Collection[System] = AT_START,
    *,
    certain: bool = False,
) -> Translation:
    """Replace the names of other servers by the current names.

    `known` are the settings of this server; `hidden` are those whose values are secret. Settings that the environment has win over those
    that follow from an old name. `certain` as in `rows_for`. A name that other programs use too stays in the
    environment if its value was read.
    """
    found = old_values(environ, systems, certain=certain)
    result = {name: value for name, value in environ.items() if name not in found}
    for change in found.values():
        result |= change.settings
    source: dict[str, str] = {}
    rows = [(row, outcome(row, environ)) for row in rows_for(environ, known, systems, certain=certain)]
    for row, change in rows:
        if not row.silent and (not row.shared or not change.settings or row.name.startswith(PREFIXES)):
            result.pop(row.name)
        new = {name: value for name, value in change.settings.items() if name not in environ and name not in source}
        source |= dict.fromkeys(new, row.name)
        result |= new
    effects: dict[str, str] = {}
    for old, change in [*found.items(), *((row.name, change) for row, change in rows)]:
        if all(result.get(name, value) == value for name, value in change.implied.items() if name.endswith("_BACKENDS")):
            further = {name: value for name, value in change.implied.items() if name not in result}
            result |= further
            effects[old] = "".join(f", {shown(name, value, hidden)}" for name, value in further.items())
    messages = [_value_message(name, environ[name], change, effects, hidden) for name, change in found.items()]
    messages += [_message(row, change, environ, source, effects, hidden) for row, change in rows if not row.silent]
    return Translation(result, tuple(filter(None, messages)), source)


def shown(name: str, value: str, hidden: Collection[str]) -> str:
    """Return `NAME=value`, or the name alone if the value is secret."""
    return name if name in hidden or _USER.search(value) else f"{name}={value}"


def _value_message(name: str, value: str, change: Outcome, effects: Mapping[str, str], hidden: Collection[str]) -> str:
    further = effects.get(name, "").removeprefix(", ")
    if not change.settings:
        return f"{shown(name, value, hidden)} is ignored. {change.reason}"
    if change.settings[name] == value:
        return f"{name} sets {further}. {change.reason}" if further else ""
    return f"{shown(name, value, hidden)} is read as {change.settings[name]}. {change.reason}"


def _message(  # noqa: PLR0913 - all of one translation
    row: OldName, change: Outcome, environ: Environ, source: Mapping[str, str], effects: Mapping[str, str], hidden: Collection[str]
) -> str:
    """Return what to say of a variable; empty if the same value is already set under the current name, or nothing is lost."""
    name, system = row.name, LABELS[row.systems[0]]
    if not change.settings:
        return f"{name} ({system}) {change.reason}" if change.reason else ""
    ((setting, value),) = change.settings.items()
    if environ.get(setting) == value:
        return ""
    if source.get(setting) != name:
        other = f"which {source[setting]} sets" if setting in source else "which is set too"
        return f"{name} is now called {setting}, {other}: {name} is ignored."
    new = shown(setting, value, hidden)
    if (row.convert is None and System.OPEN_SPEECH in row.systems) or new == setting:
        return f"{name} is now called {setting}" + effects.get(name, "").replace(", ", ", and sets ", 1)
    return f"{name} ({system}) is now {new}{effects.get(name, '')}"
