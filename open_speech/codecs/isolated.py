"""Decoding strangers' files in another process, bounded in memory and time; 16-bit PCM, which needs no codec, is read here.

Where files are decoded is a property of this process and not of a caller: whatever takes a file must not be able to forget it. So it
is switched on once, by who composes the server, and holds for all. Unix only.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter

from open_speech.audio import Audio
from open_speech.codecs.blocks import collect
from open_speech.codecs.decode import blocks as blocks_here
from open_speech.codecs.decode import needs_codec
from open_speech.codecs.decode import survey as survey_here
from open_speech.codecs.fork_server import BORN, ORDER, Job
from open_speech.codecs.probe import stated_seconds as stated_seconds_here
from open_speech.codecs.survey import Survey
from open_speech.dispatch.frames import Decoder, Frame, Kind, audio_of, error_of
from open_speech.errors import BackendTimeout, BackendUnavailable, InvalidAudio
from open_speech.sandbox import InForce

log = logging.getLogger("open_speech.decoding")

_READ_BYTES = 1 << 18
_SEALS = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL if hasattr(os, "memfd_create") else 0
"""With which nobody can change a file in memory any more; 0 where there are no such files."""
_BIRTH_S = 30.0
"""Longest wait for a child; the first one waits until the codecs are imported."""
_SLOW = 10
"""How many times longer than the CPU time that a piece may take is waited for it: other work wants the processors, too."""


class ForkServer:
    """The process that has a child for each file; started when it is first needed, and again when it is gone."""

    def __init__(self, *, memory_mb: int, quiet_s: float) -> None:
        """One file may take `memory_mb` MiB, and `quiet_s` seconds of CPU time until the next piece of its sound."""
        self._memory_mb = memory_mb
        self._quiet_s = quiet_s
        self._lock = threading.Lock()
        self._is_ordered = False
        self._line: socket.socket | None = None
        self._end: weakref.finalize[[subprocess.Popen[bytes], socket.socket], ForkServer] | None = None

    def start(self) -> None:
        """Start the process, and do not wait for it."""
        with self._lock:
            self._connected()
        self._order()

    def close(self) -> None:
        """End the process; what it has begun to decode is finished."""
        with self._lock:
            self._forget()

    def in_force(self) -> InForce:
        """Return how the process that decodes a file is confined, as one of them reports it. Blocking. Raises BackendUnavailable."""
        with self._child() as child:
            child.settimeout(_BIRTH_S)
            try:
                return TypeAdapter(InForce).validate_json(next(_frames(child)).payload)
            except (InvalidAudio, BackendTimeout) as gone:
                raise BackendUnavailable("The decoding process does not start.", retry_after_s=1) from gone
            finally:
                self._order()

    def blocks(
        self, source: bytes | Path, rate: int, *, max_seconds: float, channel: int | None = None, formats: tuple[str, ...] = ()
    ) -> Iterator[Audio]:
        """Decode as `decode.blocks` does. Blocking.

        Raises what that does; InvalidAudio also where the file ended its decoder, BackendTimeout where no sound came for long.
        """
        job = Job(rate, max_seconds, self._memory_mb, self._quiet_s, channel=channel, formats=formats)
        with closing(self._answers(source, job)) as frames:
            for frame in frames:
                yield audio_of(frame)

    def survey(self, source: bytes | Path, *, max_seconds: float) -> Survey:
        """Look at the channels of a file, as `decode.survey` does. Blocking. Raises as `blocks`."""
        (found,) = self._answers(source, Job(0, max_seconds, self._memory_mb, self._quiet_s, surveys=True))
        return TypeAdapter(Survey).validate_json(found.payload)

    def stated_seconds(self, path: Path) -> float | None:
        """Tell the duration that a file states, as `length.stated_seconds` does. Blocking."""
        try:
            (told,) = self._answers(path, Job(0, 0, self._memory_mb, self._quiet_s))
        except (InvalidAudio, BackendTimeout, OSError):
            return None
        return TypeAdapter(float | None).validate_json(told.payload)

    def _answers(self, source: bytes | Path, job: Job) -> Generator[Frame, None, None]:
        with self._child() as child:
            child.settimeout(max(_SLOW * self._quiet_s, _BIRTH_S))
            with _file_of(source) as file:
                socket.send_fds(child, [job.encode()], [file.fileno()])
            frames = _frames(child)
            next(frames)  # what is in force in the child
            for number, frame in enumerate(frames):
                if number == 0:
                    self._order()  # only now: a fork at the same time would take this file's processor, and its memory's lock
                yield frame

    def _child(self) -> socket.socket:
        """Take the child that waits, or have one made. Raises BackendUnavailable."""
        with self._lock:
            for _ in range(2):  # a nursery that was killed is only noticed here
                try:
                    line = self._connected()
                    if not self._is_ordered:
                        line.send(ORDER)
                    self._is_ordered = False
                    answer, lines, _, _ = socket.recv_fds(line, 1, 1)
                    if answer == BORN:
                        return socket.socket(fileno=lines[0])
                except OSError as gone:
                    log.warning("the decoding process ended (%s) and is being restarted", gone)
                self._forget()
        raise BackendUnavailable("The server could not start a process to decode the file.", retry_after_s=1)

    def _order(self) -> None:
        """Have the next child made, for whoever comes."""
        with self._lock, suppress(OSError):
            if self._line is not None and not self._is_ordered:
                self._line.send(ORDER)
                self._is_ordered = True

    def _connected(self) -> socket.socket:
        if self._line is None:
            self._line, theirs = socket.socketpair()
            self._line.settimeout(_BIRTH_S)
            with theirs:
                process = _started(theirs)
            self._end = weakref.finalize(self, _ended, process, self._line)
        return self._line

    def _forget(self) -> None:
        if self._end is not None:
            self._end()
        self._line = self._end = None
        self._is_ordered = False


_fork_server: ForkServer | None = None


@contextmanager
def isolation(*, memory_mb: int, quiet_s: float, at_once: bool = True) -> Iterator[ForkServer]:
    """Have files decoded in another process until the block ends; the bounds are those of one file.

    Without `at_once` that process is started when the first file comes, for a process that may never have one.
    """
    global _fork_server  # noqa: PLW0603 - see above: a property of the process
    fork_server = _fork_server = ForkServer(memory_mb=memory_mb, quiet_s=quiet_s)
    try:
        if at_once:
            fork_server.start()
        yield fork_server
    finally:
        _fork_server = None
        fork_server.close()


def blocks(
    source: bytes | Path,
    rate: int,
    *,
    max_seconds: float,
    raw_rate: int | None = None,
    channel: int | None = None,
    formats: tuple[str, ...] = (),
) -> Iterator[Audio]:
    """Decode as `decode.blocks` does, elsewhere if this process has files decoded elsewhere and the file needs a codec."""
    if _fork_server is None or raw_rate is not None or not needs_codec(source):
        return blocks_here(source, rate, max_seconds=max_seconds, raw_rate=raw_rate, channel=channel, formats=formats)
    return _fork_server.blocks(source, rate, max_seconds=max_seconds, channel=channel, formats=formats)


def survey(source: bytes | Path, *, max_seconds: float) -> Survey:
    """Look at the channels of a file as `decode.survey` does, elsewhere under the same conditions as `blocks`."""
    if _fork_server is None or not needs_codec(source):
        return survey_here(source, max_seconds=max_seconds)
    return _fork_server.survey(source, max_seconds=max_seconds)


def decode(source: bytes | Path, rate: int, *, max_seconds: float, formats: tuple[str, ...] = ()) -> Audio:
    """Decode as `decode.decode` does, elsewhere if this process has files decoded elsewhere and the file needs a codec.

    `formats` as `decode.blocks` takes them.
    """
    return collect(blocks(source, rate, max_seconds=max_seconds, formats=formats), rate)


def stated_seconds(path: Path) -> float | None:
    """Tell the duration that a file states, as `length.stated_seconds` does, elsewhere if this process has files looked at elsewhere."""
    return stated_seconds_here(path) if _fork_server is None else _fork_server.stated_seconds(path)


def _frames(answer: socket.socket) -> Iterator[Frame]:
    """Give what a child sends, to its end. Raises what it says is wrong, and InvalidAudio where it said nothing more."""
    frames = Decoder()
    while data := _received(answer):
        for frame in frames.feed(data):
            match frame.kind:
                case Kind.ERROR:
                    raise error_of(frame)
                case Kind.END:
                    return
                case _:
                    yield frame
    log.warning("a file ended its decoding process: it crashed or exceeded a limit (OS_DECODE_MEMORY_MB, OS_DECODE_TIMEOUT_S)")
    raise InvalidAudio("The file cannot be decoded.", param="file")


def _received(answer: socket.socket) -> bytes:
    try:
        return answer.recv(_READ_BYTES)
    except TimeoutError:
        raise BackendTimeout("Decoding the file takes longer than the server allows (OS_DECODE_TIMEOUT_S).") from None
    except ConnectionResetError:
        return b""


@contextmanager
def _file_of(source: bytes | Path) -> Iterator[BinaryIO]:
    """Give a file with its own position, without a name that others could open."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield file
        return
    with _unnamed() as file:
        file.write(source)
        file.seek(0)  # who gets the descriptor reads on from where it is
        if _SEALS:
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
        yield file


def _unnamed() -> BinaryIO:
    if _SEALS:
        return os.fdopen(os.memfd_create("upload", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "w+b")
    return tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it


def _started(line: socket.socket) -> subprocess.Popen[bytes]:
    """Start a nursery. It gets none of our environment, which holds keys, and no signal that a terminal sends to all of us."""
    search = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")  # a process with threads must not fork
    command = [sys.executable, "-P", "-c", "from open_speech.codecs.fork_server import main; main()", str(line.fileno())]
    return subprocess.Popen(
        command,
        pass_fds=[line.fileno()],
        env={"PYTHONPATH": search, **threads},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def _ended(process: subprocess.Popen[bytes], line: socket.socket) -> None:
    with closing(line):
        process.kill()  # its children go on: each has its file and its listener
        process.wait()
