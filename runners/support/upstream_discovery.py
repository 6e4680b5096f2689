"""Discovery of the models, voices and languages of an OpenAI-compatible server, in any of several dialects."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from urllib.parse import quote, urlsplit, urlunsplit

from open_speech.backends import ModelEntry, Task, Voice
from open_speech.errors import BackendFailed
from open_speech.registry import OPENAI_VOICES
from runners.support.backend_options import UpstreamOptions, UpstreamSttOptions, UpstreamTtsOptions
from runners.support.peer_names import id_of
from runners.support.retry import Patience
from runners.support.upstream_http import Address, Upstream

Dialect = Literal["openai", "speaches", "kokoro-fastapi", "localai"]
PREFIX = "upstream/"
NOMINAL_RATE = 24_000
"""Sample rate in hertz of a model before its first audio, which then has its actual rate."""
MOST_ASKED = 32
"""Maximum number of models whose voices are queried one by one."""
KOKORO_LANGUAGES = {
    "a": "en-US", "b": "en-GB", "e": "es", "f": "fr-FR", "h": "hi", "i": "it", "j": "ja", "p": "pt-BR", "z": "zh",
}  # fmt: skip
"""First letter of a Kokoro voice -> its language. The letter is also the language code of Kokoro-FastAPI."""
_LISTENS = re.compile(r"whisper|transcri|parakeet|canary|moonshine|sensevoice|\b(asr|stt)\b", re.I)
_SPEAKS = re.compile(r"\b(tts|speech|voice|piper|kokoro|bark|xtts|orpheus|chatterbox|vibevoice)|tts\b", re.I)
_NEITHER = re.compile(r"realtime|audio-preview", re.I)
_KOKORO_VOICE = re.compile(r"[abefhijpz][fm]_")


@dataclass(frozen=True, slots=True)
class Discovery:
    """The models, voices and languages of one server, with the server's own names."""

    dialect: Dialect
    stt_models: tuple[str, ...] = ()
    tts_models: tuple[str, ...] = ()
    voices: Mapping[str, tuple[Voice, ...]] = field(default_factory=dict)
    """Synthesis model -> its voices; a voice whose language is not reported has an empty one."""
    languages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Model -> its languages, for each model that reports them."""


def discover(  # noqa: PLR0913 - one keyword for each value that a caller may already know
    url: str,
    key: str,
    dialect: str = "auto",
    *,
    timeout_s: float = 10.0,
    settings: str = "UPSTREAM",
    voices_for: Callable[[str], bool] = bool,
) -> Discovery:
    """Query the models of a server. Blocks, for at most `timeout_s` seconds for each of a few requests.

    `url` ends in `/v1`; `dialect` is `auto` or a Dialect; `voices_for` returns whether the voices of a model are needed. Values that the
    server does not report are empty. Raises BackendUnavailable (not reachable), BackendTimeout or BackendFailed (key rejected).
    """
    patience = Patience(timeout_s, 1)  # a server may close a connection just when it is used again
    with closing(Upstream(Address(url, key, settings), patience)) as server:
        return patience.get(lambda _: explored(server, dialect, settings, voices_for=voices_for))


def explored(server: Upstream, dialect: str, settings: str, *, voices_for: Callable[[str], bool] = bool) -> Discovery:
    """Query the models of a server like `discover`, with an open client. Raises Busy if the server is not reachable."""
    status, answer = server.get(server.base + "/models")
    if status in (401, 403):
        raise BackendFailed(f"The upstream server rejected {settings}_API_KEY.")
    rows = list(_rows(answer))
    spoken = cast("Dialect", dialect) if dialect != "auto" else _dialect(server, rows)
    listening, speaking = _sorted_out(rows, spoken)
    languages = {name: told for row in rows if (told := _languages(row)) and (name := row["id"])}
    by_id = {row["id"]: row for row in rows}
    voices = dict(_voices(server, spoken, [by_id[name] for name in speaking if voices_for(name)]))
    return Discovery(spoken, listening, speaking, voices, languages)


def listening_offers(settings: Mapping[str, Any], *, ask: bool) -> list[ModelEntry]:
    """Return entries of the recognizers in STT_UPSTREAM_MODELS, or else on the server, which is queried only with `ask`.

    Raises what `discover` raises.
    """
    options = UpstreamSttOptions.of(settings)
    found = _discovered(options) if ask else Discovery("openai")
    return [
        ModelEntry(
            id_of(PREFIX, name), "upstream", Task.STT, "see the server", found.languages.get(name, ()),
            description=f"`{name}` of the upstream server.", word_times=True, translates=True, peer_name=name,
        )
        for name in options.models or found.stt_models
    ]  # fmt: skip


def speaking_offers(settings: Mapping[str, Any], *, ask: bool) -> list[ModelEntry]:
    """Return entries of the synthesizers, like `listening_offers`; the voices in TTS_UPSTREAM_VOICES replace those of the server."""
    options = UpstreamTtsOptions.of(settings)
    given = tuple(Voice(name, kokoro_language(name)) for name in options.voices)
    found = _discovered(options, voices=not given) if ask else Discovery("openai")
    entries = []
    for name in options.models or found.tts_models:
        voices = given or found.voices.get(name, ())
        entries.append(
            ModelEntry(
                id_of(PREFIX, name),
                "upstream-tts",
                Task.TTS,
                "see the server",
                found.languages.get(name, ()),
                description=f"`{name}` of the upstream server.",
                voices=voices,
                default_voice=voices[0].id if voices else "",
                sample_rate=NOMINAL_RATE,
                instructs=True,
                peer_name=name,
            )  # fmt: skip
        )
    return entries


def kokoro_language(voice: str) -> str:
    """Return the language of a voice with a Kokoro name, as a BCP-47 tag; empty for any other name."""
    return KOKORO_LANGUAGES[voice[0]] if _KOKORO_VOICE.match(voice) else ""


def _discovered(options: UpstreamOptions, *, voices: bool = False) -> Discovery:
    return discover(
        options.url, options.api_key, options.dialect, settings=options.prefix.upper().rstrip("_"), voices_for=lambda _: voices
    )  # fmt: skip


def _rows(answer: Any) -> Iterator[dict[str, Any]]:
    """Yield the valid rows of a list of models, in any of the known formats."""
    data = answer.get("data", answer.get("models")) if isinstance(answer, dict) else answer
    for row in data if isinstance(data, list) else ():
        if isinstance(row, dict) and isinstance(row.get("id"), str) and row["id"]:
            yield row


def _dialect(server: Upstream, rows: list[dict[str, Any]]) -> Dialect:
    """Guess the dialect: only Speaches has rows with a task; the other servers have a path that no other has."""
    if any("task" in row for row in rows):
        return "speaches"
    if any(row.get("owned_by") == "kokoro" for row in rows) or _is_ok(server.get(server.base + "/test")):
        return "kokoro-fastapi"
    scheme, host, path, _, _ = urlsplit(server.base)
    root = urlunsplit((scheme, host, path.removesuffix("/v1"), "", ""))
    return "localai" if server.get(root + "/readyz")[0] == 200 else "openai"


def _is_ok(answer: tuple[int, Any]) -> bool:
    return answer[0] == 200 and isinstance(answer[1], dict) and answer[1].get("status") == "ok"


def _sorted_out(rows: list[dict[str, Any]], dialect: Dialect) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the recognizers and the synthesizers, by their task or else by their name. Aliases of a model are left out."""
    listening, speaking = [], []
    for row in rows:
        name, task = row["id"], str(row.get("task", ""))
        if row.get("alias_of"):
            continue
        if task:
            listens, speaks = task in ("automatic-speech-recognition", Task.STT), task == Task.TTS
        else:
            fits = not _NEITHER.search(name)
            listens = fits and _LISTENS.search(name) is not None and dialect != "kokoro-fastapi"
            speaks = fits and not listens and (dialect == "kokoro-fastapi" or _SPEAKS.search(name) is not None)
        if listens:
            listening.append(name)
        if speaks:
            speaking.append(name)
    return tuple(dict.fromkeys(listening)), tuple(dict.fromkeys(speaking))


def _languages(row: Mapping[str, Any]) -> tuple[str, ...]:
    told = row.get("languages") or row.get("language")
    told = [told] if isinstance(told, str) else told
    return tuple(code for code in told if isinstance(code, str) and code) if isinstance(told, list) else ()


def _voices(server: Upstream, dialect: Dialect, rows: list[dict[str, Any]]) -> Iterator[tuple[str, tuple[Voice, ...]]]:
    """Yield each model with its voices, from its row or else from the source that the dialect defines."""
    listed: tuple[Voice, ...] | None = None
    for at, row in enumerate(rows):
        name = row["id"]
        voices = voices_of(row.get("voices"))
        if not voices and dialect == "speaches" and at < MOST_ASKED:
            voices = _own_voices(server, name)
        if not voices and dialect == "localai":
            voices = (Voice(name, ""),)
        if not voices and dialect == "openai" and _is_openais(name):
            voices = tuple(Voice(voice, "") for voice in OPENAI_VOICES)
        if not voices and dialect in ("openai", "kokoro-fastapi"):
            listed = voices_of(server.get(server.base + "/audio/voices")[1]) if listed is None else listed
            voices = listed or (tuple(Voice(voice, "") for voice in OPENAI_VOICES) if dialect == "openai" else ())
        yield name, voices


def _is_openais(name: str) -> bool:
    return name.startswith(("tts-1", "gpt-"))


def _own_voices(server: Upstream, name: str) -> tuple[Voice, ...]:
    """Query a Speaches server for the voices of one model, with its current and then its former endpoint."""
    _, model = server.get(f"{server.base}/models/{quote(name, safe='/')}")
    if isinstance(model, dict) and (voices := voices_of(model.get("voices"))):
        return voices
    return voices_of(server.get(f"{server.base}/audio/speech/voices?model_id={quote(name, safe='')}")[1])


def voices_of(answer: Any) -> tuple[Voice, ...]:
    """Parse a list of voices: names or objects, on its own or in `voices` or `data`. Invalid items are left out."""
    if isinstance(answer, dict):
        answer = answer.get("voices", answer.get("data"))
    found: dict[str, Voice] = {}
    for told in answer if isinstance(answer, list) else ():
        row = {"id": told} if isinstance(told, str) else told if isinstance(told, dict) else {}
        name = next((row[key] for key in ("id", "voice_id", "name") if isinstance(row.get(key), str) and row[key]), None)
        if name is None or row.get("kind") in ("alias", "preset", "library"):
            continue
        told_language = next((row[key] for key in ("language", "lang") if isinstance(row.get(key), str)), "")
        found[name] = Voice(name, told_language or kokoro_language(name))
    return tuple(found.values())
