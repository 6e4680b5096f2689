"""Runs the evaluation, and prints its tables: the ends of turns in virtual time, then conversations in real time with engines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from subprocess import CalledProcessError

from benchmarks.dialogue import corpus, virtual_time
from benchmarks.dialogue.chat import ChatServer, serve_chat
from benchmarks.dialogue.configurations import Configuration, chosen, with_own_ends
from benchmarks.dialogue.contenders import STT, TTS, pipecat, realtime
from benchmarks.dialogue.playing import play
from benchmarks.dialogue.scoring import Ends, Manners, manners, overdue
from benchmarks.dialogue.table import ends_table, manners_table
from benchmarks.dialogue.values import Observed, Scene
from benchmarks.served import Served, serve

PEER = "pipecat"
ENGINES = {
    "OS_OFFLINE": "true", "STT_BACKENDS": "faster-whisper", "STT_MODEL": STT, "TTS_BACKENDS": "piper", "TTS_MODEL": TTS,
    "TTS_VOICE": "en_US-joe-medium", "LLM_MODEL": "scripted", "LLM_API_KEY": "unused",
}  # fmt: skip


def run(corpora: Sequence[Path], *, only: str = "", quick: bool = False) -> int:
    """Print both tables; `only` names the contenders, as `configurations.chosen` does. Return the number of ends that were missed."""
    rows = chosen(only)
    ends = _virtual(rows, corpora, quick=quick)
    print("\nends of turns, virtual time\n")
    print(ends_table(ends), flush=True)
    found = _real(rows, corpora, with_peer=not only or PEER in only, quick=quick)
    print("\nconversations, real time\n")
    print(manners_table(found), flush=True)
    return sum(each.ends.missed for each in found.values())


def _virtual(rows: Sequence[Configuration], corpora: Sequence[Path], *, quick: bool) -> Mapping[str, Mapping[str, Ends]]:
    turns = corpus.turns(corpora, quick=quick)
    found = {}
    for served, group in _by_settings(with_own_ends(rows), virtual_time.SETTINGS):
        for row in group:
            found[row.name] = virtual_time.scored(turns, asyncio.run(virtual_time.detected(served, row, turns)))
            print(f"  {row.name}: {len(turns)} turns{_overdue(served)}", flush=True)
    return found


def _real(rows: Sequence[Configuration], corpora: Sequence[Path], *, with_peer: bool, quick: bool) -> Mapping[str, Manners]:
    scenes = corpus.scenes(corpora)[:: 3 if quick else 1]
    found = {}
    with serve_chat() as chat:
        for served, group in _by_settings(rows, ENGINES | {"LLM_BASE_URL": chat.url}):
            for row in group:
                found[row.name] = manners(asyncio.run(_converse(served, row, chat, scenes)))
                print(f"  {row.name}: {len(scenes)} scenes{_overdue(served)}", flush=True)
        if with_peer:
            with serve(ENGINES | {"LLM_BASE_URL": chat.url}) as served:
                try:
                    found[PEER] = manners(asyncio.run(_converse(served, None, chat, scenes)))
                except CalledProcessError:
                    print("  pipecat cannot be installed, so it is left out", flush=True)
    return found


def _overdue(served: Served) -> str:
    """Say how many decisions of the turn detector were late so far: the silence decides instead, and the row says little."""
    with served.client() as client:
        counts = overdue(client.get("/metrics").text)
    return f", {counts[0]} of {counts[1]} decisions of the turn detector late or failed" if counts[1] else ""


async def _converse(served: Served, row: Configuration | None, chat: ChatServer, scenes: Sequence[Scene]) -> list[Observed]:
    async with realtime(served, row) if row else pipecat(served, chat.url) as contender:
        return await play(contender, chat, scenes)


def _by_settings(rows: Sequence[Configuration], base: Mapping[str, str]) -> Iterator[tuple[Served, list[Configuration]]]:
    """Yield a server for each group of configurations with the same settings, which must be next to each other."""
    for settings, group in groupby(rows, key=lambda row: dict(row.settings)):
        with serve(dict(base) | settings) as served:
            yield served, list(group)
