"""Decoding of untrusted files in another process, with limits on memory and time; 16-bit PCM needs no codec and is read in this process.

Where files are decoded is a property of the process and not of a caller, so that no code that decodes a file can forget it. The
composition root enables isolation once, for all callers. Unix only.
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
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter

from open_speech.audio import Audio
from open_speech.codecs.blocks import collect
from open_speech.codecs.decode import blocks as blocks_here
from open_speech.codecs.decode import needs_codec
from open_speech.codecs.decode import survey as survey_here
from open_speech.codecs.fork_server import FORK_REQUEST, FORKED, Job
from open_speech.codecs.probe import stated_seconds as stated_seconds_here
from open_speech.codecs.survey import Survey
from open_speech.dispatch.frames import Decoder, Frame, Kind, audio_of, error_of
from open_speech.errors import BackendTimeout, BackendUnavailable, InvalidAudio
from open_speech.sandbox import InForce
from open_speech.sandbox.decoding import decoding_limits

log = logging.getLogger("open_speech.decoding")

_READ_BYTES = 1 << 18
_SEALS = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL if hasattr(os, "memfd_create") else 0
"""Seals that make a file in memory immutable; 0 on systems without such files."""
_FORK_TIMEOUT_S = 30.0
"""Longest wait for a child; the first child is forked after the codecs are imported."""
_WALL_PER_CPU = 10
"""Timeout of a piece, as a multiple of its limit of CPU time: other work uses the processors as well."""


class ForkServer:
    """Client of the fork server, which forks a child for each file; started at first use, and restarted when it has ended."""

    def __init__(self, *, memory_mb: int, quiet_s: float, report: Callable[[InForce], None] | None = None) -> None:
        """Allow `memory_mb` MiB per file, and `quiet_s` seconds of CPU time until the next piece of its audio.

        `report` is called once, in some thread, with the restrictions of the first process that decodes a file.
        """
        self._memory_mb = memory_mb
        self._quiet_s = quiet_s
        self._report = report
        self._lock = threading.Lock()
        self._is_requested = False
        self._control: socket.socket | None = None
        self._finalizer: weakref.finalize[[subprocess.Popen[bytes], socket.socket], ForkServer] | None = None

    def start(self) -> None:
        """Start the process without waiting for it."""
        with self._lock:
            self._connected()
        self._request_child()

    def close(self) -> None:
        """End the process; files in progress are still decoded to their end."""
        with self._lock:
            self._disconnect()

    def in_force(self) -> InForce:
        """Return the restrictions of a decoding process, as one of them reports them. Blocking. Raises BackendUnavailable."""
        with self._child() as child:
            child.settimeout(_FORK_TIMEOUT_S)
            try:
                return TypeAdapter(InForce).validate_json(next(_frames(child)).payload)
            except (InvalidAudio, BackendTimeout) as gone:
                raise BackendUnavailable("The decoding process does not start.", retry_after_s=1) from gone
            finally:
                self._request_child()

    def blocks(
        self, source: bytes | Path, rate: int, *, max_seconds: float, channel: int | None = None, formats: tuple[str, ...] = ()
    ) -> Iterator[Audio]:
        """Decode as `decode.blocks` does. Blocking.

        Raises the same errors; InvalidAudio also if the decoding process ended, BackendTimeout if it returned no audio in time.
        """
        job = Job(rate, max_seconds, self._memory_mb, self._quiet_s, channel=channel, formats=formats)
        with closing(self._frames_for(source, job)) as frames:
            for frame in frames:
                yield audio_of(frame)

    def survey(self, source: bytes | Path, *, max_seconds: float) -> Survey:
        """Survey the channels of a file as `decode.survey` does. Blocking. Raises as `blocks` does."""
        (frame,) = self._frames_for(source, Job(0, max_seconds, self._memory_mb, self._quiet_s, surveys=True))
        return TypeAdapter(Survey).validate_json(frame.payload)

    def stated_seconds(self, path: Path) -> float | None:
        """Return the duration that a file states, as `probe.stated_seconds` does. Blocking."""
        try:
            (frame,) = self._frames_for(path, Job(0, 0, self._memory_mb, self._quiet_s))
        except (InvalidAudio, BackendTimeout, OSError):
            return None
        return TypeAdapter(float | None).validate_json(frame.payload)

    def _frames_for(self, source: bytes | Path, job: Job) -> Generator[Frame, None, None]:
        with self._child() as child:
            child.settimeout(max(_WALL_PER_CPU * self._quiet_s, _FORK_TIMEOUT_S))
            with _file_of(source) as file:
                socket.send_fds(child, [job.encode()], [file.fileno()])
            frames = _frames(child)
            restrictions = next(frames)
            if (report := self._report) is not None:
                self._report = None
                report(TypeAdapter(InForce).validate_json(restrictions.payload))
            for number, frame in enumerate(frames):
                if number == 0:
                    self._request_child()  # not earlier: a simultaneous fork would compete for the processor and the memory's lock
                yield frame

    def _child(self) -> socket.socket:
        """Return the socket of the child that is ready, or of a new one. Raises BackendUnavailable."""
        with self._lock:
            for _ in range(2):  # a fork server that was killed is noticed only here
                try:
                    control = self._connected()
                    if not self._is_requested:
                        control.send(FORK_REQUEST)
                    self._is_requested = False
                    response, sockets, _, _ = socket.recv_fds(control, 1, 1)
                    if response == FORKED:
                        return socket.socket(fileno=sockets[0])
                except OSError as gone:
                    log.warning("the decoding process ended (%s) and is being restarted", gone)
                self._disconnect()
        raise BackendUnavailable("The server could not start a process to decode the file.", retry_after_s=1)

    def _request_child(self) -> None:
        """Request the next child in advance."""
        with self._lock, suppress(OSError):
            if self._control is not None and not self._is_requested:
                self._control.send(FORK_REQUEST)
                self._is_requested = True

    def _connected(self) -> socket.socket:
        if self._control is None:
            self._control, theirs = socket.socketpair()
            self._control.settimeout(_FORK_TIMEOUT_S)
            with theirs:
                process = _start_process(theirs)
            self._finalizer = weakref.finalize(self, _end_process, process, self._control)
        return self._control

    def _disconnect(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._control = self._finalizer = None
        self._is_requested = False


_fork_server: ForkServer | None = None
_starting = threading.Lock()


def _current() -> ForkServer | None:
    """Return the fork server of this process; None if files are decoded in this process."""
    global _fork_server  # noqa: PLW0603 - see above: a property of the process
    with _starting:
        if _fork_server is None and (limits := decoding_limits()) is not None:
            _fork_server = ForkServer(memory_mb=limits.memory_mb, quiet_s=limits.quiet_s)
        return _fork_server


@contextmanager
def isolation(
    *, memory_mb: int, quiet_s: float, at_once: bool = True, report: Callable[[InForce], None] | None = None
) -> Iterator[ForkServer]:
    """Decode files in another process until the block ends; the limits are per file, and `report` is as in ForkServer.

    Without `at_once` the other process is started at the first file, for a process that may never decode one.
    """
    global _fork_server  # noqa: PLW0603 - see above: a property of the process
    fork_server = _fork_server = ForkServer(memory_mb=memory_mb, quiet_s=quiet_s, report=report)
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
    """Decode as `decode.blocks` does, in another process if isolation is enabled and the file needs a codec."""
    fork_server = _current()
    if fork_server is None or raw_rate is not None or not needs_codec(source):
        return blocks_here(source, rate, max_seconds=max_seconds, raw_rate=raw_rate, channel=channel, formats=formats)
    return fork_server.blocks(source, rate, max_seconds=max_seconds, channel=channel, formats=formats)


def survey(source: bytes | Path, *, max_seconds: float) -> Survey:
    """Survey the channels of a file as `decode.survey` does, in another process under the same conditions as `blocks`."""
    fork_server = _current()
    if fork_server is None or not needs_codec(source):
        return survey_here(source, max_seconds=max_seconds)
    return fork_server.survey(source, max_seconds=max_seconds)


def decode(source: bytes | Path, rate: int, *, max_seconds: float, formats: tuple[str, ...] = ()) -> Audio:
    """Decode as `decode.decode` does, in another process if isolation is enabled and the file needs a codec.

    `formats` are as in `decode.blocks`.
    """
    return collect(blocks(source, rate, max_seconds=max_seconds, formats=formats), rate)


def stated_seconds(path: Path) -> float | None:
    """Return the duration that a file states, as `probe.stated_seconds` does, in another process if isolation is enabled."""
    fork_server = _current()
    return stated_seconds_here(path) if fork_server is None else fork_server.stated_seconds(path)


def _frames(child: socket.socket) -> Iterator[Frame]:
    """Yield the frames of a child up to its end. Raises the error that it reports, and InvalidAudio if it ended without END."""
    frames = Decoder()
    while data := _received(child):
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


def _received(child: socket.socket) -> bytes:
    try:
        return child.recv(_READ_BYTES)
    except TimeoutError:
        raise BackendTimeout("Decoding the file takes longer than the server allows (OS_DECODE_TIMEOUT_S).") from None
    except ConnectionResetError:
        return b""


@contextmanager
def _file_of(source: bytes | Path) -> Iterator[BinaryIO]:
    """Open the source as a file with its own position; bytes become a file without a name, which others cannot open."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield file
        return
    with _unnamed() as file:
        file.write(source)
        file.seek(0)  # the receiver of the descriptor reads from the current position
        if _SEALS:
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
        yield file


def _unnamed() -> BinaryIO:
    if _SEALS:
        return os.fdopen(os.memfd_create("upload", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "w+b")
    return tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it


def _start_process(control: socket.socket) -> subprocess.Popen[bytes]:
    """Start the fork server, without this process's environment, which contains API keys, and without the terminal's signals."""
    search = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")  # a process with threads must not fork
    command = [sys.executable, "-P", "-c", "from open_speech.codecs.fork_server import main; main()", str(control.fileno())]
    return subprocess.Popen(
        command,
        pass_fds=[control.fileno()],
        env={"PYTHONPATH": search, **threads},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def _end_process(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    with closing(control):
        process.kill()  # its children continue: each has its file and its client
        process.wait()
