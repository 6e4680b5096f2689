"""`talk` with files, against a server on tones whose language model is scripted: every text is exact."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from open_speech.cli._talk_devices import BYTES_PER_S, Devices, Talk
from open_speech.cli._talk_dialogue import Dialogue
from open_speech.client import AsyncOpenSpeechClient, AsyncRealtimeSession
from open_speech.config import Settings
from tests.client.conftest import KEY, serving
from tests.language_model import KEY as LLM_KEY
from tests.language_model import LanguageModelServer, serve_language_model
from tests.waiting import PATIENCE_S, eventually, until

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def llm() -> Iterator[LanguageModelServer]:
    with serve_language_model() as llm:
        yield llm


def settings_of(folder: Path, **more: Any) -> Settings:
    return Settings(
        os_models_dir=folder / "models", os_api_key=f"laptop:{KEY}", os_offline=True, os_voice_library_path=folder / "library",
        stt_backends=("tones-stt",), tts_backends=("tones-tts",), stt_model="tones/listen", tts_model="tones/speak", tts_voice="tone",
        stt_vad_enabled=False, os_jobs_dir=folder / "jobs", llm_backends=(), **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def address(llm: LanguageModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that can talk."""
    remote = {"llm_base_url": llm.url, "llm_api_key": LLM_KEY, "llm_model": "scripted"}
    with serving(settings_of(tmp_path_factory.mktemp("talk"), **remote)) as address:
        yield address


@pytest.fixture
def record(run: Run, tmp_path: Path) -> Callable[[str], str]:
    """Speak a text into a file."""

    def recorded(text: str) -> str:
        file = tmp_path / f"{text.replace(' ', '-')[:20]}.wav"
        assert run("speak", text, "-o", str(file)).exit_code == 0
        return str(file)

    return recorded


@pytest.fixture
def talk(run: Run, address: str) -> Run:
    return lambda *arguments, **environ: run("talk", "--url", address, *arguments, **{"OS_API_KEY": f"laptop:{KEY},other:key"} | environ)


def test_questions_in_files_are_answered_in_turn_and_the_answers_are_kept(
    talk: Run, run: Run, llm: LanguageModelServer, record: Callable[[str], str], tmp_path: Path
) -> None:
    llm.requests.clear()
    answers = tmp_path / "answers.wav"
    questions = [record("How are you?"), record("And tomorrow?")]
    result = talk("--in", questions[0], "--in", questions[1], "--out", str(answers), "--instructions", "Be brief.")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"You: How are you?\nAssistant: {llm.answer}\nYou: And tomorrow?\nAssistant: {llm.answer}\n"
    first, second = result.stderr.splitlines()
    for line in (first, second):
        assert [part.rpartition(" ")[0].rpartition(" ")[0] for part in line.strip().split(", ")] == [
            "transcript", "first text", "first audio", "complete",
        ]  # fmt: skip
    assert [(message["role"], message["content"].strip()) for message in llm.requests[-1]["messages"]] == [
        ("system", "Be brief."), ("user", "How are you?"), ("assistant", llm.answer), ("user", "And tomorrow?"),
    ]  # fmt: skip
    assert run("transcribe", str(answers)).stdout.strip() == f"{llm.answer} {llm.answer}"


def test_a_stereo_file_of_another_rate_is_converted(talk: Run, record: Callable[[str], str], tmp_path: Path) -> None:
    samples, rate = soundfile.read(record("How are you?"))
    stereo = tmp_path / "stereo.flac"
    soundfile.write(stereo, np.stack([samples, samples], axis=1), rate)
    assert talk("--in", str(stereo)).stdout.startswith("You: How are you?\nAssistant: ")


def test_a_failure_of_the_language_model_is_one_line(talk: Run, record: Callable[[str], str]) -> None:
    result = talk("--in", record("garbage"))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: The language model server ")
    assert result.stdout == "You: garbage\n"


def test_a_server_without_a_language_model_says_so(run: Run, record: Callable[[str], str], tmp_path: Path) -> None:
    with serving(settings_of(tmp_path)) as address:
        result = run("talk", "--url", address, "--key", KEY, "--in", record("How are you?"))
    assert result.exit_code == 1
    assert "This server has no language model" in result.stderr


def test_a_wrong_key_and_a_server_that_is_not_there_are_one_line(talk: Run, record: Callable[[str], str]) -> None:
    file = record("How are you?")
    for result in (talk("--in", file, "--key", "wrong"), talk("--in", file, "--url", "http://127.0.0.1:9")):
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ")
        assert len(result.stderr.splitlines()) == 1


def test_an_unknown_voice_names_the_field(talk: Run, record: Callable[[str], str]) -> None:
    result = talk("--in", record("How are you?"), "--voice", "nobody")
    assert result.exit_code == 1
    assert "voice" in result.stderr


def test_what_is_no_audio_and_what_cannot_be_written_is_reported_before_a_connection(talk: Run, tmp_path: Path) -> None:
    letter = tmp_path / "letter.wav"
    letter.write_text("This is a letter.")
    result = talk("--in", str(letter), "--url", "http://127.0.0.1:9")
    assert (result.exit_code, "letter.wav" in result.stderr) == (1, True)
    assert talk("--in", str(letter), "--out", str(tmp_path / "answer.mp3")).exit_code == 2
    assert talk("--out", str(tmp_path / "answer.wav")).exit_code == 2


def test_without_sounddevice_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['sounddevice'] = None\nfrom open_speech.cli import main; main(['talk'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert "pip install 'open-speech[talk]'" in done.stderr


def test_local_needs_no_server(run: Run, llm: LanguageModelServer, record: Callable[[str], str]) -> None:
    result = run("talk", "--local", "--in", record("How are you?"), LLM_BASE_URL=llm.url, LLM_API_KEY=LLM_KEY, LLM_MODEL="scripted")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"You: How are you?\nAssistant: {llm.answer}\n"


def test_an_interruption_drops_what_was_not_played_and_the_model_learns_of_it(address: str, llm: LanguageModelServer, run: Run) -> None:
    """The devices without a device: the test takes the audio as the loudspeaker does."""
    question, second = (pcm24(run, text) for text in ("on and on", "How are you?"))
    written: list[str] = []

    async def scene() -> None:
        dialogue = Dialogue(written.append, written.append)
        async with AsyncOpenSpeechClient(address, KEY) as client:
            async with await client.realtime_session(turn_detection=None, instructions="Be brief.") as session:
                session.on_event(dialogue.take)
                session.on_error(dialogue.failed)
                devices = Devices()
                talk = Talk(session, dialogue, devices, barge_in=True)
                await ask(session, question)
                await eventually(lambda: "number 9." in "".join(written))  # far more is written than will be played
                block = bytearray(BYTES_PER_S // 50)
                for _ in range(60):  # 1.2 seconds are played
                    await eventually(lambda: not devices.playback.is_empty)
                    devices._play(memoryview(block))
                assert any(block)
                assert await talk.interrupt()
                assert devices.playback.is_empty
                await dialogue.answered(PATIENCE_S)
                assert devices.playback.is_empty
                assert not await talk.interrupt()
                await ask(session, second)
                await dialogue.answered(PATIENCE_S)

    asyncio.run(asyncio.wait_for(scene(), PATIENCE_S))
    roles = [message["role"] for message in llm.requests[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    played = llm.requests[-1]["messages"][2]["content"]
    printed = "".join(written).partition("Assistant: ")[2].partition(" [interrupted]")[0]
    assert printed.startswith(played)
    assert 0 < len(played) < len(printed)


def pcm24(run: Run, text: str) -> bytes:
    """Speak a text as 16-bit PCM at 24 kHz."""
    spoken: bytes = run("speak", text, "-o", "-", "--format", "pcm").stdout_bytes
    return spoken


async def ask(session: AsyncRealtimeSession, question: bytes) -> None:
    await session.send_audio(question)
    await session.commit()
    await session.create_response()


def test_ctrl_c_interrupts_the_answer_and_twice_ends_the_conversation(address: str, record: Callable[[str], str]) -> None:
    endless = record("on and on")
    command = [sys.executable, "-m", "open_speech.cli", "talk", "--url", address, "--in", endless, "--in", endless, "--in", endless]
    environ = {**os.environ, "OS_API_KEY": KEY, "PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    written: list[str] = []

    def read() -> None:
        assert running.stdout is not None
        while part := running.stdout.read(1):
            written.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        until(lambda: "".join(written).count("sentence number 2.") == 1)
        running.send_signal(signal.SIGINT)
        until(lambda: "".join(written).count("sentence number 2.") == 2)
        assert "[interrupted]\nYou: on and on\n" in "".join(written)
        while running.poll() is None:
            running.send_signal(signal.SIGINT)
            time.sleep(0.2)
        assert running.wait(PATIENCE_S) in (130, -signal.SIGINT)  # the last signals may arrive after Python has ended
    finally:
        running.kill()
        running.wait()
        reader.join(PATIENCE_S)
        assert running.stdout is not None
        running.stdout.close()
