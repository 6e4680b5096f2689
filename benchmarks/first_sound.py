"""First sound of an answer: from the first complete sentence to its first audio, against the time that the engine itself needs for it.

The sentence comes from a scripted language model, and the answer is read by the Realtime API. Each engine speaks the same sentence as a raw
package in a process of its own, by turns with the server.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks import tts_peers
from benchmarks.clips import model_folder
from benchmarks.dialogue.chat import ChatServer, serve_chat
from benchmarks.realtime import Session, session
from benchmarks.served import Served, serve
from benchmarks.tts_peers import Worker

ANSWER = "Please open the main valve now. Then wait until the needle is still."
FIRST = ANSWER.partition(".")[0] + "."
ROUNDS, QUICK_ROUNDS = 20, 6
MODELS = {"hibari/heart": "heart", "piper/en_US-joe-medium": "en_US-joe-medium", "kokoro": "af_heart"}
"""Model -> voice."""
SETTINGS = {"OS_OFFLINE": "true", "OS_MODEL_TTL": "0", "STT_BACKENDS": "moonshine", "STT_MODEL": "moonshine/tiny", "LLM_API_KEY": "unused",
            "TTS_BACKENDS": "hibari,piper,kokoro", "TTS_CACHE_ENABLED": "false", "LLM_MODEL": "scripted"}  # fmt: skip


def run(*, quick: bool) -> None:
    """Print for each engine the medians: the server's time from the complete sentence to its first audio, and the engine's own time."""
    with serve_chat() as chat, tempfile.TemporaryDirectory() as folder:
        # Far faster than speech, as a language model on a GPU is.
        chat.say(ANSWER, tokens_per_s=500)
        for model, voice in MODELS.items():
            settings = SETTINGS | {"LLM_BASE_URL": chat.url, "TTS_MODEL": model, "TTS_VOICE": voice}
            with serve(settings) as served, _raw(model, voice, Path(folder)) as raw:
                raw.speak(FIRST)  # is not measured, like the first answer
                pairs = asyncio.run(_measure(served, chat, raw, rounds=QUICK_ROUNDS if quick else ROUNDS))
            print(_row(model, pairs), flush=True)


def _row(model: str, pairs: list[tuple[float, float]]) -> str:
    ours, alone = (statistics.median(column) * 1000 for column in zip(*pairs, strict=True))
    added = statistics.median(one - other for one, other in pairs) * 1000
    return f"  {model:24s} first audio {ours:6.0f} ms   engine alone {alone:6.0f} ms   added: median {added:5.0f} ms"


async def _measure(served: Served, chat: ChatServer, raw: Worker, *, rounds: int) -> list[tuple[float, float]]:
    """Return for each round the seconds of the server and those of the engine alone."""
    found = []
    async with session(served, "model=gpt-realtime", "realtime") as talk:
        await _answer(talk, chat)  # loads the model
        for _ in range(rounds):
            ours = await _answer(talk, chat)
            found.append((ours, (await asyncio.to_thread(raw.speak, FIRST)).first))
    return found


async def _answer(talk: Session, chat: ChatServer) -> float:
    """Ask for an answer; return the seconds from its first complete sentence to its first audio."""
    chat.sentences.clear()
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "How do I start?"}]}
    await talk.send("conversation.item.create", item=item)
    await talk.send("response.create")
    await talk.until("response.output_audio.delta")
    heard = time.perf_counter()
    await talk.until("response.done")
    return heard - chat.sentences[0]


def _raw(model: str, voice: str, work: Path) -> AbstractContextManager[Worker]:
    folder = model_folder(model)
    if model.startswith("hibari"):
        return tts_peers.raw_hibari(folder / "hibari.onnx")
    if model.startswith("piper"):
        return tts_peers.raw_piper(next(folder.glob("*.onnx")))
    return tts_peers.raw_kokoro(next(folder.glob("*.onnx")), tts_peers.all_voices(folder / "voices", work), voice)
