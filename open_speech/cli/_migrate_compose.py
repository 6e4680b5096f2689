"""Compose files of other servers -> one of this server: services, ports and volumes. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from open_speech import config
from open_speech.cli._migrate_env import UnreadableFile
from open_speech.cli._migrate_settings import Line, Variable, canonical, converted, plain, renamed, resolved, wyoming_warning
from open_speech.cli._migrate_yaml import Document, block, indented, scalar
from open_speech.config.old_names import System, systems_of

IMAGES = {
    System.WYOMING_OPENAI: r"wyoming[_-]openai", System.VOICE_STACK: r"voice-stack", System.GEMMAVOICE: r"gemma[_-]?(voice|service)",
    System.SPEACHES: r"speaches|faster-whisper-server", System.KOKORO_FASTAPI: r"kokoro-fastapi",
    System.WHISPER_ASR: r"whisper-asr-webservice", System.OPEN_SPEECH: r"open-speech|stt-server",
}  # fmt: skip
"""System -> pattern in the name of its image, or of its service where the image is built."""
HTTP_PORTS = {
    System.OPEN_SPEECH: ("8100",), System.VOICE_STACK: ("5001", "5002"), System.GEMMAVOICE: ("6666",), System.SPEACHES: ("8000",),
    System.KOKORO_FASTAPI: ("8880",), System.WHISPER_ASR: ("9000",), System.WYOMING_OPENAI: (),
}  # fmt: skip
"""Ports on which the containers listen for HTTP."""
WYOMING_PORTS = {System.OPEN_SPEECH: "10400", System.WYOMING_OPENAI: "10300"}
HTTPS = frozenset({System.OPEN_SPEECH})
"""Systems that serve HTTPS by default. This server does, too, where other machines can connect, unless OS_SSL_ENABLED is false."""
COPIED = (
    "container_name", "restart", "deploy", "runtime", "gpus", "networks", "network_mode", "depends_on", "labels", "hostname", "extra_hosts",
    "dns", "logging", "profiles", "cpus", "mem_limit", "shm_size", "env_file", "secrets", "configs", "ulimits", "stop_grace_period",
)  # fmt: skip
"""Keys of a service that do not depend on its image."""
DROPPED = {
    "image": "", "environment": "", "ports": "", "volumes": "", "expose": "",
    "build": "the image is built by `make image`", "healthcheck": "the image has its own",
    "command": "the image starts the server", "entrypoint": "the image starts the server",
}  # fmt: skip
HF_CACHE = re.compile(r"(?:/[\w.-]+)*/\.cache/huggingface(?P<hub>/hub)?/?")
OTHER_CACHES = re.compile(
    r"/(?:[\w.-]+/)*\.cache(?:/(?:whisper|silero-vad))?/?|/var/lib/open-speech(?:/[\w.-]+)*/?|/app/a(?:pp|pi)(?:/.*)?"
)
NAME = "open-speech"


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the file that this server replaces."""

    name: str
    data: Mapping[str, Any]
    systems: frozenset[System]

    @property
    def variables(self) -> list[Variable]:
        """The variables of its environment, in the form of a list or of a map."""
        given = self.data.get("environment") or {}
        if isinstance(given, Mapping):
            return [Variable(str(name), None if value is None else str(value)) for name, value in given.items()]
        pairs = [str(item).partition("=") for item in given] if isinstance(given, list) else []
        return [Variable(name, value if mark else None) for name, mark, value in pairs]


@dataclass(slots=True)
class Result:
    """A converted compose file."""

    text: str
    lines: list[Line]
    """The settings of the server."""
    replaced: list[str] = field(default_factory=list)
    """Names of the services that this server replaces."""


def replaced_services(document: Document, chosen: System | None) -> list[Service]:
    """List the services that this server replaces; all of one system if `chosen` is given.

    Raises UnreadableFile if it is no compose file or has no such service.
    """
    services = document.data.get("services") if isinstance(document.data, dict) else None
    if not isinstance(services, dict) or not all(isinstance(each, dict) for each in services.values()):
        raise UnreadableFile("a compose file has a map `services`, in which each service is a map")
    found = [Service(name, data, _systems(name, data)) for name, data in services.items()]
    if chosen is not None:
        ours = [Service(each.name, each.data, frozenset({chosen})) for each in found if chosen in each.systems or len(found) == 1]
    else:
        ours = [each for each in found if each.systems]
    if not ours:
        which = f"of {chosen}" if chosen else "that this server replaces; `--from` names its system"
        raise UnreadableFile(f"found no service {which}. Services: {', '.join(services)}")
    return ours


def _systems(name: str, data: Mapping[str, Any]) -> frozenset[System]:
    image = str(data.get("image") or "")
    for system, pattern in IMAGES.items():
        if re.search(pattern, image or name):
            return frozenset({system})
    names = [canonical(variable.name) for variable in Service(name, data, frozenset()).variables]
    return systems_of(name for name in names if name not in config.names()) if not image else frozenset()


def convert(document: Document, services: Sequence[Service], header: str) -> Result:
    """Write a compose file in which this server replaces `services`."""
    systems = frozenset(system for service in services for system in service.systems)
    names = {service.name for service in services}
    lines = list(_settings(services, names))
    volumes, more = _volumes(services)
    lines += more
    given = {line.name for line in lines}
    if not systems & HTTPS and "OS_SSL_ENABLED" not in given:
        lines += [Line(comment="As before. Empty or `true` serves HTTPS."), Line("OS_SSL_ENABLED", "false")]
    if "OS_API_KEY" not in given and not any("env_file" in service.data for service in services):
        lines.append(Line(comment="No OS_API_KEY is set: every client that reaches the published ports may use the server."))
    lines += wyoming_warning(lines)
    text = "".join(f"# {line}\n" for line in header.splitlines())
    for name, data in document.data["services"].items():
        if name not in names and re.search(rf"//(?:{'|'.join(map(re.escape, names))})\b", plain_text(data)):
            text += f"# The service {name} refers to a service that is replaced: the new address is http://{NAME}:{_http_port(lines)}.\n"
    text += _top(document, before=True) + "services:\n" + indented(f"{NAME}:", 1) + _body(document, services, names, lines, systems)
    text += indented("volumes:", 2) + "".join(indented(f"- {scalar(volume)}", 3) for volume in volumes)
    for name in document.data["services"]:
        if name not in names:
            text += block(scalar(name), document.source("services", name), 1)
    return Result(text + _named_volumes(document, names, volumes) + _top(document, before=False), lines, sorted(names))


def _settings(services: Sequence[Service], names: Collection[str]) -> Iterator[Line]:
    """Yield the settings of all services; of two values for one setting the first counts."""
    hosts = {*names} | {str(service.data.get("container_name")) for service in services}
    seen: dict[str, str | None] = {}
    for service in services:
        kept: list[Variable] = []
        dropped: list[Variable] = []
        environ = {canonical(variable.name): plain(variable) for variable in service.variables}
        for variable in service.variables:
            name = canonical(variable.name)
            task = name[:3]
            url = environ.get(f"{task}_OPENAI_URL", "") if System.WYOMING_OPENAI in service.systems and task in ("STT", "TTS") else ""
            (dropped if re.match(rf"https?://(?:{'|'.join(map(re.escape, hosts))})(?::|/|\Z)", url) else kept).append(variable)
        for variable in dropped:
            yield Line(comment=f"{variable.name} is not needed: this server replaces that service, too, and uses its own backends.")
        for line in converted(kept, service.systems):
            if line.name in seen and line.name:
                if seen[line.name] != line.value:
                    yield Line(comment=f"{line.name} has another value in the service {service.name}; the first is used.")
                continue
            seen[line.name] = line.value
            yield line


def _body(document: Document, services: Sequence[Service], names: set[str], lines: Sequence[Line], systems: Collection[System]) -> str:
    """Return the keys of the service, without `volumes`."""
    settings = "".join(indented(_setting(line), 3) for line in lines)
    on_gpu = any(_uses_gpu(service) for service in services)
    text = indented(f"image: ${{OPEN_SPEECH_IMAGE:-open-speech{'-cuda' if on_gpu else ''}:latest}}", 2)
    done: set[str] = set()
    for service in services:
        for key in service.data:
            if key in ("image", "environment", "ports", "volumes"):
                continue
            if key in done:
                text += indented(f"# {key} of {service.name} is left out: another service has it, too.", 2) if key in COPIED else ""
                continue
            done.add(key)
            if key == "depends_on":
                text += _dependencies(document, service, names)
            elif key in COPIED:
                text += block(key, renamed(document.source("services", service.name, key), systems), 2)
            elif reason := DROPPED.get(key, "it depends on the image; check it"):
                text += indented(f"# {key} is left out: {reason}.", 2)
            if key == "env_file":
                text += indented("# Convert these files, too: `open-speech migrate FILE`. Old names in them work, with a warning.", 2)
    ports = list(_ports(services, lines))
    text += indented("ports:", 2) + "".join(indented(port, 3) for port in ports) if ports else ""
    return text + indented("environment:" if any(line.name for line in lines) else "environment: {}", 2) + settings


def _dependencies(document: Document, service: Service, names: Collection[str]) -> str:
    """Return `depends_on`, a list or a map with conditions, without the services that are replaced."""
    given = service.data["depends_on"] or ()
    others = [name for name in given if name not in names]
    if isinstance(given, dict):
        parts = (block(scalar(name), document.source("services", service.name, "depends_on", name), 0) for name in others)
    else:
        parts = (f"- {scalar(name)}\n" for name in others)
    return block("depends_on", "".join(parts), 2) if others else ""


def _setting(line: Line) -> str:
    if not line.name:
        return "\n".join(f"# {part}" for part in line.comment.splitlines()) or "#"
    if line.value is None:
        return f"{line.name}:"
    return f"{line.name}: {scalar(line.value.replace('$', '$$') if line.literal else line.value)}"


def _uses_gpu(service: Service) -> bool:
    data = service.data
    devices = plain_text(data.get("deploy"))
    values = [plain(variable) for variable in service.variables if variable.name.upper().endswith(("DEVICE", "DEVICE_TYPE"))]
    return "gpu" in devices or data.get("runtime") == "nvidia" or "gpus" in data or any(value.startswith("cuda") for value in values)


def plain_text(data: Any) -> str:
    """Return all text in plain data, for a search."""
    if isinstance(data, dict):
        return " ".join(plain_text(part) for part in data.values())
    return " ".join(plain_text(part) for part in data) if isinstance(data, list) else str(data or "")


def _ports(services: Iterable[Service], lines: Sequence[Line]) -> Iterator[str]:
    """Yield the published ports, each as an item of a YAML list or a comment."""
    environ = {line.name: plain(line) for line in lines if line.name}
    own = _http_port(lines)
    uri = re.search(r":(\d+)\Z", environ.get("OS_WYOMING_URI", ""))
    wyoming = uri[1] if uri else environ.get("OS_WYOMING_PORT", "10400")
    for service in services:
        http = {port for system in service.systems for port in HTTP_PORTS[system]} | {own}
        for given in service.data.get("ports") or ():
            if isinstance(given, dict):
                outer, inner, udp = str(given.get("published") or ""), str(given.get("target") or ""), given.get("protocol") == "udp"
                outer = f"{given['host_ip']}:{outer}" if given.get("host_ip") else outer
            else:
                outer, inner, udp = _split_port(renamed(str(given), service.systems))
            port = resolved(inner)
            if port in http and not udp:
                target = inner if port == own else own
            elif port in {wyoming, *(WYOMING_PORTS[system] for system in service.systems if system in WYOMING_PORTS)}:
                target = inner if port == wyoming else wyoming
            else:
                yield f"# The port {inner} of {service.name} is left out: this server does not listen on it."
                continue
            yield f"- {scalar(f'{outer}:{target}' if outer else target)}"


def _http_port(lines: Iterable[Line]) -> str:
    return next((plain(line) for line in lines if line.name == "OS_PORT"), "8100")


def _split_port(port: str) -> tuple[str, str, bool]:
    """Split `[address:]published:target[/protocol]` before the target; references such as `${PORT:-8100}` stay whole."""
    port, _, protocol = port.partition("/")
    parts = re.findall(r"(?:\$\{[^{}]*\}|\[[^\]]*\]|[^:])+", port)
    return ":".join(parts[:-1]), parts[-1] if parts else "", protocol == "udp"


def _volumes(services: Iterable[Service]) -> tuple[list[str], list[Line]]:
    """Return the volumes of the service, and the settings for those that have a new place."""
    volumes: list[str] = []
    lines: list[Line] = []
    for service in services:
        for given in service.data.get("volumes") or ():
            if isinstance(given, dict):
                source, target, mode = str(given.get("source") or ""), str(given.get("target") or ""), given.get("read_only") == "true"
                rest = ["ro"] if mode else []
            else:
                source, target, *rest = [*_split_volume(str(given)), ""][: 2 + str(given).count(":")]
            cache = HF_CACHE.fullmatch(target)
            if cache and source:
                volumes.append(f"{source}:/hf-cache:ro")
                variable = "HF_HUB_CACHE" if cache["hub"] else "HF_HOME"
                lines += [Line(comment="Models in the old cache are used without a download."), Line(variable, "/hf-cache")]
            elif System.VOICE_STACK in service.systems and target.rstrip("/").endswith("/voices"):
                volumes.append(f"{source}:/voices:ro")
                lines.append(Line("TTS_VOICE_DIR", "/voices"))
            elif OTHER_CACHES.fullmatch(target) or not source:
                lines.append(Line(comment=f"The volume at {target or source} is left out: this server has nothing there."))
            else:
                volumes.append(":".join(part for part in (source, target, *rest) if part))
    for name, target in (("models", "/models"), ("data", "/data")):
        if not any(volume.split(":")[1:2] == [target] for volume in volumes):
            volumes.append(f"{name}:{target}")
    return list(dict.fromkeys(volumes)), list(dict.fromkeys(lines))


def _split_volume(volume: str) -> list[str]:
    return re.findall(r"(?:\$\{[^{}]*\}|[^:])+", volume)


def _named_volumes(document: Document, replaced: Collection[str], volumes: Sequence[str]) -> str:
    """Return the key `volumes` of the file: the old ones that are still used, and ours."""
    given = document.data.get("volumes") or {}
    others = plain_text({name: data for name, data in document.data["services"].items() if name not in replaced})
    text = ""
    for name in dict.fromkeys([*given, *(volume.split(":")[0] for volume in volumes)]):
        if name.startswith((".", "/", "~", "$")) or (
            name in given and name not in others and not any(volume.startswith(f"{name}:") for volume in volumes)
        ):
            continue
        text += block(scalar(name), document.source("volumes", name), 1) if given.get(name) is not None else indented(f"{scalar(name)}:", 1)
    return f"volumes:\n{text}" if text else ""


def _top(document: Document, *, before: bool) -> str:
    """Return the other keys of the file: `name` before the services, the rest after them. `version` is obsolete."""
    keys = [key for key in document.data if key not in ("services", "volumes", "version") and not key.startswith("x-")]
    return "".join(block(key, document.source(key), 0) for key in keys if (key == "name") is before)
