"""The beta protocol of Realtime (`OpenAI-Beta: realtime=v1`): conversion of its events to the GA protocol, and back. Pure.

The beta has a flat session, other names for the same events, and one `conversation.item.created` instead of `added` and `done`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from open_speech.api.realtime.settings import Kind

Event = dict[str, Any]

_FORMATS: Mapping[str, Event] = {
    "pcm16": {"type": "audio/pcm", "rate": 24_000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_FORMAT_NAMES = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}
_SAME = ("instructions", "tools", "tool_choice", "tracing", "include", "temperature", "prompt", "truncation", "model")
_TURNS = ("type", "threshold", "prefix_padding_ms", "silence_duration_ms", "eagerness", "create_response", "interrupt_response")
_CONTENT = {"output_audio": "audio", "output_text": "text"}
_PARAMS = {
    "session.audio.input.transcription": "session.input_audio_transcription",
    "session.audio.input.noise_reduction": "session.input_audio_noise_reduction",
    "session.audio.input.turn_detection": "session.turn_detection",
    "session.audio.input.format": "session.input_audio_format",
    "session.audio.output.format": "session.output_audio_format",
    "session.audio.output": "session",
    "session.output_modalities": "session.modalities",
    "session.max_output_tokens": "session.max_response_output_tokens",
    "response.audio.output.format": "response.output_audio_format",
    "response.audio.output": "response",
    "response.output_modalities": "response.modalities",
}
"""Path of a field in an error -> its path in the beta."""
_SESSION_FIELDS = frozenset({
    "modalities", "voice", "speed", "input_audio_format", "output_audio_format", "input_audio_transcription", "input_audio_noise_reduction",
    "turn_detection", "max_response_output_tokens",
})  # fmt: skip
_RESPONSE_FIELDS = frozenset({"modalities", "voice", "output_audio_format", "max_response_output_tokens"})
"""Fields that only the beta has."""
_GA_FIELDS = frozenset({"type", "audio", "output_modalities", "max_output_tokens"})
"""Fields that the beta does not have."""
_EVENTS = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "conversation.item.added": "conversation.item.created",
}


def has_only_beta_fields(event: Mapping[str, Any]) -> bool:
    """Return whether an event has fields that only the beta has, and none that the beta lacks: its client uses the beta protocol."""
    match event.get("type"):
        case "session.update":
            fields, own = event.get("session"), _SESSION_FIELDS
        case "response.create":
            fields, own = event.get("response"), _RESPONSE_FIELDS
        case kind:
            return bool(kind == "transcription_session.update")
    return isinstance(fields, Mapping) and bool(fields.keys() & own) and not fields.keys() & _GA_FIELDS


def to_ga(event: Mapping[str, Any]) -> Event:
    """Translate an event of the client; invalid data is left unchanged for the later validation."""
    new = dict(event)
    match event.get("type"):
        case "session.update" | "transcription_session.update" if isinstance(event.get("session"), Mapping):
            kind = {"type": "transcription"} if event["type"] == "transcription_session.update" else {}
            new |= {"type": "session.update", "session": {**session_to_ga(event["session"]), **kind}}
        case "response.create" if isinstance(event.get("response"), Mapping):
            new["response"] = _response_to_ga(event["response"])
        case "conversation.item.create":
            new["item"] = _item_to_ga(event.get("item"))
    return new


def session_to_ga(flat: Mapping[str, Any]) -> Event:
    """Convert a flat session to the GA form."""
    new: Event = {name: flat[name] for name in _SAME if name in flat}
    input_part: Event = {}
    output_part: Event = {}
    for old, name in (("input_audio_transcription", "transcription"), ("input_audio_noise_reduction", "noise_reduction")):
        if old in flat:
            input_part[name] = flat[old]
    if "turn_detection" in flat:
        input_part["turn_detection"] = flat["turn_detection"]
    if flat.get("input_audio_format") is not None:
        input_part["format"] = _format_to_ga(flat["input_audio_format"])
    if flat.get("output_audio_format") is not None:
        output_part["format"] = _format_to_ga(flat["output_audio_format"])
    output_part |= {name: flat[name] for name in ("voice", "speed") if name in flat}
    if "max_response_output_tokens" in flat:
        new["max_output_tokens"] = flat["max_response_output_tokens"]
    if "modalities" in flat:
        new["output_modalities"] = _modalities_to_ga(flat["modalities"])
    audio = {name: part for name, part in (("input", input_part), ("output", output_part)) if part}
    return {**new, "audio": audio} if audio else new


def to_beta(event: Mapping[str, Any], kind: Kind) -> list[Event]:
    """Translate an event of the server; an event that the beta does not have is omitted."""
    name = str(event["type"])
    new = {**event, "type": _EVENTS.get(name, name)}
    match name:
        case "conversation.item.done" | "input_audio_buffer.timeout_triggered":
            return []
        case "session.created" | "session.updated":
            if kind == "transcription":
                new["type"] = f"transcription_{name}"
            new["session"] = session_to_beta(event["session"])
        case "response.created" | "response.done":
            new["response"] = _response_to_beta(event["response"])
        case "conversation.item.input_audio_transcription.completed":
            new.pop("languages", None)
        case "response.function_call_arguments.done":
            new.pop("name", None)
        case "error":
            new["error"] = {**event["error"], "param": _param_to_beta(event["error"]["param"])}
    if "item" in new:
        new["item"] = _item_to_beta(new["item"])
    return [new]


def session_to_beta(session: Mapping[str, Any]) -> Event:
    """Flatten a session."""
    input_part = session["audio"]["input"]
    transcription = input_part["transcription"]
    common: Event = {
        "id": session["id"], "object": session["object"], "expires_at": session["expires_at"],
        "input_audio_format": _FORMAT_NAMES[input_part["format"]["type"]],
        "input_audio_transcription": _subset(transcription, "model", "language", "prompt"),
    }  # fmt: skip
    if session["type"] == "transcription":
        common["turn_detection"] = _subset(input_part["turn_detection"], *_TURNS[:4])
        # Beta clients read a secret here; a client that is connected already needs none.
        return {**common, "client_secret": {"value": "", "expires_at": session["expires_at"]}}
    output_part = session["audio"]["output"]
    voice = output_part["voice"]
    return {
        **common, "turn_detection": _subset(input_part["turn_detection"], *_TURNS), "model": session["model"],
        "modalities": _modalities_to_beta(session["output_modalities"]),
        "instructions": session["instructions"], "voice": voice if isinstance(voice, str) else voice["id"],
        "output_audio_format": _FORMAT_NAMES[output_part["format"]["type"]], "speed": output_part["speed"], "tools": session["tools"],
        "tool_choice": session["tool_choice"], "temperature": session.get("temperature", 0.8), "tracing": session["tracing"],
        "max_response_output_tokens": session["max_output_tokens"],
        "input_audio_noise_reduction": _subset(input_part["noise_reduction"], "type"),
    }  # fmt: skip


def _param_to_beta(param: str | None) -> str | None:
    """Translate the path of a field in an error."""
    old = next((old for old in _PARAMS if param is not None and (param == old or param.startswith(f"{old}."))), None)
    if param is None or old is None:
        return param
    # A format is a single string in the beta: it has no fields.
    return _PARAMS[old] if old.endswith(".format") else _PARAMS[old] + param[len(old) :]


def _response_to_ga(response: Mapping[str, Any]) -> Event:
    new = {name: value for name, value in response.items() if name not in ("modalities", "voice", "output_audio_format", "input")}
    output: Event = {}
    if response.get("voice") is not None:
        output["voice"] = response["voice"]
    if response.get("output_audio_format") is not None:
        output["format"] = _format_to_ga(response["output_audio_format"])
    if output:
        new["audio"] = {"output": output}
    if response.get("modalities") is not None:
        new["output_modalities"] = _modalities_to_ga(response["modalities"])
    if "max_response_output_tokens" in new:
        new["max_output_tokens"] = new.pop("max_response_output_tokens")
    if "input" in response:
        items = response["input"]
        new["input"] = [_item_to_ga(item) for item in items] if isinstance(items, list) else items
    return new


def _response_to_beta(response: Mapping[str, Any]) -> Event:
    dropped = ("audio", "output_modalities", "output", "usage")
    output = response["audio"]["output"]
    return {
        **{name: value for name, value in response.items() if name not in dropped},
        "output": [_item_to_beta(item) for item in response["output"]],
        "modalities": _modalities_to_beta(response["output_modalities"]), "voice": output["voice"],
        "output_audio_format": _FORMAT_NAMES[output["format"]["type"]], "usage": response["usage"],
    }  # fmt: skip


def _item_to_ga(item: object) -> object:
    if not isinstance(item, Mapping) or not isinstance(item.get("content"), list):
        return item
    is_answer = item.get("role") == "assistant"
    names = {"text": "output_text" if is_answer else "input_text", "audio": "output_audio" if is_answer else "input_audio"}
    if is_answer:
        names["input_text"] = "output_text"
    return {**item, "content": [_part_to_ga(part, names) for part in item["content"]]}


def _part_to_ga(part: object, names: Mapping[str, str]) -> object:
    return {**part, "type": names.get(str(part.get("type")), part.get("type"))} if isinstance(part, Mapping) else part


def _item_to_beta(item: Mapping[str, Any]) -> Event:
    if "content" not in item:
        return dict(item)
    return {**item, "content": [{**part, "type": _CONTENT.get(part["type"], part["type"])} for part in item["content"]]}


def _subset(part: Mapping[str, Any] | None, *names: str) -> Event | None:
    """Return the fields that the beta has."""
    return None if part is None else {name: part[name] for name in names if name in part}


def _format_to_ga(name: object) -> object:
    return _FORMATS.get(name, {"type": name}) if isinstance(name, str) else {"type": name}


def _modalities_to_ga(modalities: object) -> object:
    """Convert modalities: text and audio together meant audio with a transcript, which is `audio` now."""
    return ["audio"] if isinstance(modalities, list) and "audio" in modalities and "text" in modalities else modalities


def _modalities_to_beta(modalities: list[str]) -> list[str]:
    return ["text", "audio"] if "audio" in modalities else ["text"]
