from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from open_speech.audio import Audio
from open_speech.codecs import blocks, decode, encoder, isolation, stated_seconds, wav_bytes
from open_speech.codecs.blocks import collect
from open_speech.codecs.decode import blocks as blocks_here
from open_speech.codecs.decode import needs_codec
from open_speech.codecs.isolated import ForkServer
from open_speech.errors import AudioTooLong, InvalidAudio
from open_speech.sandbox import InForce
from tests.waiting import until

RATE = 16_000
Tone = Callable[[float, int], Audio]


def written(format: str, audio: Audio) -> bytes:
    file = encoder(format, audio.rate)  # type: ignore[arg-type]
    return file.encode(audio) + file.finish()


def processes() -> list[psutil.Process]:
    """The fork server and its children, oldest first."""
    return sorted(filter(is_of_the_fork_server, psutil.Process().children(recursive=True)), key=lambda process: process.create_time())


def is_of_the_fork_server(process: psutil.Process) -> bool:
    try:
        return any("codecs.fork_server" in word for word in process.cmdline())
    except psutil.Error:  # it has ended
        return False


@pytest.fixture
def fork_server() -> Iterator[ForkServer]:
    with isolation(memory_mb=128, quiet_s=20) as fork_server:
        yield fork_server


@pytest.mark.parametrize("format", ["mp3", "opus", "flac", "aac", "wav"])
def test_what_is_decoded_elsewhere_is_the_same(fork_server: ForkServer, tone: Tone, tmp_path: Path, format: str) -> None:
    data = written(format, tone(12.0, 24_000))
    (tmp_path / "upload").write_bytes(data)
    expected = collect(blocks_here(data, RATE, max_seconds=60), RATE)
    for source in (data, tmp_path / "upload"):
        np.testing.assert_array_equal(decode(source, RATE, max_seconds=60).samples, expected.samples)


def test_16_bit_pcm_needs_no_codec_and_no_process(tone: Tone) -> None:
    assert [needs_codec(source) for source in (wav_bytes(tone(1.0, RATE)), b"", b"ID3", written("flac", tone(1.0, RATE)))] == [
        False, False, True, True,
    ]  # fmt: skip
    before = processes()
    with isolation(memory_mb=64, quiet_s=1) as fork_server:
        fork_server.close()
        assert decode(wav_bytes(tone(1.0, RATE)), RATE, max_seconds=9).seconds == 1
        assert collect(blocks(bytes(RATE), RATE, max_seconds=9, raw_rate=RATE), RATE).seconds == 0.5
        assert processes() == before


def test_how_long_a_file_says_that_it_is_is_asked_there_too(
    fork_server: ForkServer, tone: Tone, media: Callable[..., bytes], tmp_path: Path
) -> None:
    files = {"film": media("mp4", "aac", tone(3.0, 48_000).samples[np.newaxis], 48_000), "letter": b"no media" * 99}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    assert [stated_seconds(tmp_path / name) for name in (*files, "nowhere")] == [pytest.approx(3, abs=0.1), None, None]
    fork_server.close()
    assert not processes()
    assert stated_seconds(tmp_path / "film") == pytest.approx(3, abs=0.1)
    assert processes()  # it was started again for this


def test_a_problem_with_a_file_is_told_as_it_is_here(fork_server: ForkServer, tone: Tone) -> None:
    with pytest.raises(InvalidAudio, match="^Invalid file format") as refused:
        decode(b"a letter, not a sound" * 99, RATE, max_seconds=9)
    assert refused.value.param == "file"
    with pytest.raises(AudioTooLong):
        decode(written("mp3", tone(3.0, RATE)), RATE, max_seconds=2)
    with pytest.raises(InvalidAudio, match="empty"):
        decode(b"", RATE, max_seconds=9)


def test_a_file_that_takes_too_much_memory_ends_with_its_own_decoder(tone: Tone, media: Callable[..., bytes]) -> None:
    one_packet = media("matroska", "pcm_f32le", np.zeros((8, 5 * 192_000), np.float32), 192_000, layout="7.1")
    with isolation(memory_mb=64, quiet_s=20), pytest.raises(InvalidAudio, match="memory|cannot be decoded"):
        decode(one_packet, RATE, max_seconds=9)
    with isolation(memory_mb=512, quiet_s=20):
        assert decode(one_packet, RATE, max_seconds=9).seconds == 5


def test_a_tag_of_a_quarter_gigabyte_is_not_kept(fork_server: ForkServer, tone: Tone, tmp_path: Path) -> None:
    size = 250 << 20  # of a picture before the sound; most of it is a hole that takes no disk
    file = tmp_path / "big picture.mp3"
    with file.open("wb") as output:
        output.write(b"ID3\x03\0\0" + syncsafe(size + 10) + b"APIC" + size.to_bytes(4, "big") + b"\0\0" + b"\0image/png\0\x03\0")
        output.seek(10 + 10 + size)
        output.write(written("mp3", tone(2.0, RATE)))
    assert decode(file, RATE, max_seconds=9).seconds == pytest.approx(2, abs=0.2)


def syncsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def test_a_file_that_keeps_its_decoder_busy_without_a_sound_is_given_up(tone: Tone, long_silence: Callable[..., bytes]) -> None:
    with isolation(memory_mb=128, quiet_s=0.004), pytest.raises(InvalidAudio, match="cannot be decoded"):
        decode(long_silence("webm", hours=3, seekable=False), 192_000, max_seconds=1e9)


def test_a_decoder_that_dies_costs_its_own_file_alone(fork_server: ForkServer, tone: Tone) -> None:
    files = [written("mp3", tone(seconds, RATE)) for seconds in (200.0, 100.0)]
    first, second = (blocks(file, RATE, max_seconds=999) for file in files)
    next(first)
    until(lambda: len(processes()) == 3)  # the fork server, the child of this file, the next one
    processes()[1].kill()
    with pytest.raises(InvalidAudio, match="cannot be decoded"):
        list(first)
    assert collect(second, RATE).seconds == pytest.approx(100, abs=0.2)


def test_a_fork_server_that_was_killed_is_started_again(fork_server: ForkServer, tone: Tone) -> None:
    file = written("mp3", tone(1.0, RATE))
    for _ in range(3):
        for _ in range(2):  # the first may have the child that waited when the fork server was killed
            assert decode(file, RATE, max_seconds=9).seconds == pytest.approx(1, abs=0.2)
        processes()[0].kill()


def test_a_listener_who_leaves_ends_the_decoder(fork_server: ForkServer, tone: Tone) -> None:
    sound = blocks(written("mp3", tone(300.0, RATE)), RATE, max_seconds=999)
    next(sound)
    until(lambda: len(processes()) == 3)  # the fork server, the child of this file, the next one
    sound.close()  # type: ignore[attr-defined]
    until(lambda: len(processes()) == 2)


def test_files_are_decoded_side_by_side_and_nothing_is_left_open(fork_server: ForkServer, tone: Tone) -> None:
    lengths = [1.0 + n / 2 for n in range(8)]
    files = [written("flac", tone(length, RATE)) for length in lengths]
    descriptors = Path("/proc/self/fd")
    with ThreadPoolExecutor(4) as pool:
        before = len(list(descriptors.iterdir()))
        for _ in range(3):
            assert [a.seconds for a in pool.map(lambda file: decode(file, RATE, max_seconds=9), files)] == lengths
        assert len(list(descriptors.iterdir())) == before


def test_the_decoders_know_none_of_our_secrets_and_outlive_a_signal_to_stop(
    fork_server: ForkServer, tone: Tone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_API_KEY", "sesame")
    fork_server.close()
    file = written("mp3", tone(300.0, RATE))
    sound = blocks(file, RATE, max_seconds=999)
    next(sound)
    for process in processes():
        with suppress(psutil.AccessDenied):  # nobody but root can read it
            assert "OS_API_KEY" not in process.environ()
        process.terminate()
        process.send_signal(signal.SIGINT)
    assert collect(sound, RATE).seconds > 290
    assert decode(file, RATE, max_seconds=999).seconds == pytest.approx(300, abs=0.2)
    assert os.getsid(processes()[0].pid) != os.getsid(0)


def test_the_restrictions_are_reported_once_with_the_first_file(tone: Tone) -> None:
    reported: list[InForce] = []
    data = written("mp3", tone(1.0, RATE))
    with isolation(memory_mb=128, quiet_s=20, at_once=False, report=reported.append) as fork_server:
        assert reported == []
        for _ in range(2):
            decode(data, RATE, max_seconds=9)
        assert reported == [fork_server.in_force()]


def test_nothing_runs_on_when_isolation_ends(tone: Tone) -> None:
    with isolation(memory_mb=128, quiet_s=20):
        decode(written("mp3", tone(1.0, RATE)), RATE, max_seconds=9)
        assert processes()
    until(lambda: not processes())
    assert decode(written("mp3", tone(1.0, RATE)), RATE, max_seconds=9).seconds == pytest.approx(1, abs=0.2)
