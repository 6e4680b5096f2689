"""The rules for an app of Home Assistant, as its developer documentation and its Supervisor state them (2026).

Source: "App configuration" in the developer documentation. The Supervisor drops keys that it does not know; here they are errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Check = Callable[[Any], bool]

ELEMENT = re.compile(
    r"(?:bool|email|url|port|device(?:\(subsystem=[a-z]+\))?|(?:str|password|int)(?:\(\d*,\d*\))?|float(?:\([\d.]*,[\d.]*\))?"
    r"|match\((?P<match>.*)\)|list\((?P<list>.+)\))\??"
)
PORT = re.compile(r"\d{1,5}(?:/(?:tcp|udp))?")
URL = r"(?:https?|\[PROTO:\w+\]){}://\[HOST\]:{}.*"


def _is(*kinds: type) -> Check:
    return lambda value: isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)


def _one_of(*values: str) -> Check:
    return lambda value: value in values


def _matches(pattern: str) -> Check:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _each(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _mapping(key: str, value: Check) -> Check:
    return lambda found: isinstance(found, dict) and all(re.fullmatch(key, str(name)) and value(given) for name, given in found.items())


def _is_port(value: object) -> bool:
    return value is None or (isinstance(value, int) and 1 <= value <= 65535)


REQUIRED: Mapping[str, Check] = {
    "name": _is(str), "version": _matches(r"\d+(\.\d+)*\S*"), "slug": _matches(r"[-_.A-Za-z0-9]+"), "description": _is(str),
    "arch": _each(_one_of("amd64", "aarch64")),
}  # fmt: skip
OPTIONAL: Mapping[str, Check] = {
    "url": _matches(r"https?://\S+"), "startup": _one_of("initialize", "system", "services", "application", "once"),
    "boot": _one_of("auto", "manual", "manual_only"), "stage": _one_of("stable", "experimental", "deprecated"),
    "backup": _one_of("hot", "cold"), "image": _is(str), "timeout": lambda value: isinstance(value, int) and 10 <= value <= 300,
    "watchdog": _matches(URL.format("|tcp", r"(?:\[PORT:\d+\]|\d+)").replace(")|tcp", "|tcp)")),
    "webui": _matches(URL.format("", r"\[PORT:\d+\]")),
    "ingress_port": lambda value: value == 0 or _is_port(value), "ingress_entry": _is(str), "panel_icon": _matches(r"mdi:[a-z0-9-]+"),
    "panel_title": _is(str), "homeassistant": _matches(r"\d{4}\.\d+(\.\d+)?"), "ports": _mapping(PORT.pattern, _is_port),
    "ports_description": _mapping(PORT.pattern, _is(str)), "environment": _mapping(r"\w*", _is(str)), "discovery": _each(_is(str)),
    "services": _each(_matches(r"(mqtt|mysql):(provide|want|need)")), "backup_exclude": _each(_is(str)), "options": _is(dict),
    "schema": lambda value: value is False or (isinstance(value, dict) and not list(schema_errors(value))),
    **dict.fromkeys(
        (
            "ingress", "ingress_stream", "panel_admin", "init", "tmpfs", "host_network", "host_ipc", "host_pid", "host_uts", "host_dbus",
            "udev", "audio", "video", "gpio", "usb", "uart", "devicetree", "kernel_modules", "realtime", "hassio_api", "homeassistant_api",
            "stdin", "legacy", "docker_api", "auth_api", "full_access", "apparmor", "journald",
        ),
        _is(bool),
    ),
}  # fmt: skip
"""What the apps here may use; `map`, `devices`, `privileged`, `machine`, `ulimits` and the commands of backups are not among it."""


def config_errors(config: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a config.yaml."""
    rules = {**REQUIRED, **OPTIONAL}
    missing = [f"{name} is missing" for name in REQUIRED if name not in config]
    wrong = [f"{name}: {value!r}" for name, value in config.items() if name not in rules or not rules[name](value)]
    return missing + wrong + list(option_errors(config.get("options", {}), config.get("schema") or {}))


def schema_errors(schema: Mapping[str, Any], depth: int = 2) -> Iterator[str]:
    """Yield what is wrong with a schema of options: elements of the types above, lists and mappings, nested at most twice."""
    for name, kind in schema.items():
        inner = kind[0] if isinstance(kind, list) and len(kind) == 1 else kind
        if isinstance(inner, dict) and depth:
            yield from schema_errors(inner, depth - 1)
        elif not isinstance(inner, str) or not ELEMENT.fullmatch(inner):
            yield f"{name}: {kind!r} is no type"


def option_errors(options: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the Supervisor refuses of options: values of another type, and required ones that are absent."""
    yield from (f"{name} is not in the schema" for name in options if name not in schema)
    for name, kind in schema.items():
        first = kind[0] if isinstance(kind, list) else kind
        if name not in options:
            if not (isinstance(first, str) and first.endswith("?")):
                yield f"{name} is required"
        elif isinstance(kind, list):
            values = options[name] if isinstance(options[name], list) else [None]
            for value in values:
                one = value if isinstance(value, dict) else {name: value}
                yield from option_errors(one, first if isinstance(first, dict) else {name: first})
        elif not _fits(options[name], kind):
            yield f"{name}: {options[name]!r} is no {kind}"


def _fits(value: object, kind: str) -> bool:
    found = ELEMENT.fullmatch(kind)
    assert found is not None
    if found["match"] is not None:
        return re.match(found["match"], str(value)) is not None
    if found["list"] is not None:
        return str(value) in found["list"].split("|")
    base = kind.rstrip("?").partition("(")[0]
    low, high = re.findall(r"\(([\d.]*),([\d.]*)\)", kind)[0] if "(" in kind else ("", "")
    size = len(str(value)) if base in ("str", "password") else value
    expected: dict[str, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "float": (int, float), "port": (int,)}
    if not isinstance(value, expected.get(base, (str,))) or (isinstance(value, bool) and base != "bool"):
        return False
    return (not low or float(size) >= float(low)) and (not high or float(size) <= float(high))  # type: ignore[arg-type]


def translation_errors(translation: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Return which options and ports a translation lacks, and what it has besides."""
    wrong = [f"{name} is unknown" for name in translation if name not in ("configuration", "network")]
    for what, ours in (("configuration", config["schema"]), ("network", config["ports"])):
        wrong += [f"{what} {name}" for name in set(ours) ^ set(translation.get(what, {}))]
    for name, row in translation.get("configuration", {}).items():
        fields = row.get("fields", {})
        kind = config["schema"].get(name)
        inner = kind[0] if isinstance(kind, list) else kind
        wrong += [f"{name}.{field}" for field in set(fields) ^ set(inner if isinstance(inner, dict) else ())]
        wrong += [name for one in (row, *fields.values()) if set(one) - {"fields"} != {"name", "description"}]
    return wrong
