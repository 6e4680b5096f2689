"""A process that decodes strangers' files in children of its own, one for each.

It imports the codecs once and then forks, which takes a few milliseconds where a new interpreter takes half a second; one child is
always there before its file is. A child has no key and no secret in its environment, opens no file but the one it was handed, and is
ended by the kernel when it crosses a bound. What a hostile file does to a decoder dies with the child: no other file was ever in it.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from open_speech.audio import silence
from open_speech.backends import STT_RATE
from open_speech.codecs.decode import blocks
from open_speech.codecs.encode import encoder
from open_speech.codecs.length import stated_seconds
from open_speech.errors import InvalidAudio, SpeechError
from open_speech.wire import END, Frame, Kind, audio_frame, error_frame

MIB = 1 << 20
JOB_BYTES = 1 << 12
ORDER = b"?"
"""What asks the nursery for a child."""
BORN, STILLBORN = b"1", b"0"
"""What it answers: BORN comes with the child's socket, which takes the job with its file and gives the sound."""
_CLIP_RATE = 24_000
_FILES = 16
"""Descriptors a child may have open; a few are taken by then."""
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Job:
    """What a child is to do with the file it is handed."""

    rate: int
    """Hertz of the sound that is wanted; 0 wants none of it, only how long the file says that it is."""
    max_seconds: float
    memory_mb: int
    """MiB of memory it may take beyond what the nursery has."""
    quiet_s: float
    """CPU seconds it may take until the next piece of sound."""

    def encode(self) -> bytes:
        """Write the job as one message."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Job:
        """Read what `encode` wrote."""
        return cls(**json.loads(data))


def main() -> None:
    """Give children to who holds the other end of the socket whose descriptor is the first argument, until that end is closed."""
    line = socket.socket(fileno=int(sys.argv[1]))
    # Whoever stops the server stops its doors first: they finish what they have accepted, and close this socket then.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children
    clip = _clip()
    gc.collect()
    gc.freeze()  # or the first collection of a child would copy every page that it shares with its siblings
    while line.recv(1) == ORDER:
        child = _bear(line, clip)
        if child is None:
            line.send(STILLBORN)
        else:
            with child:
                socket.send_fds(line, [BORN], [child.fileno()])


def _clip() -> bytes:
    """Make a short sound that every child decodes before it waits.

    Half of the time that a forked process takes for a short file is the kernel's, which gives it pages of its own as it touches them.
    """
    coder = encoder("mp3", _CLIP_RATE)
    return coder.encode(silence(0.5, _CLIP_RATE)) + coder.finish()


def _bear(line: socket.socket, clip: bytes) -> socket.socket | None:
    """Fork a child that waits for its job; None where there is no process left to have."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            if os.fork() == 0:
                line.close()
                ours.close()
                _child(theirs, clip)
        except OSError:
            ours.close()
            return None
    return ours


def _child(line: socket.socket, clip: bytes) -> None:
    """Do one job and leave, without Python's own way out: what the nursery imported is not this process's to end."""
    try:
        for _ in blocks(clip, STT_RATE, max_seconds=1):
            pass
        data, files, _, _ = socket.recv_fds(line, JOB_BYTES, 1)
        if data:
            job = Job.decode(data)
            _bound(job, files[0])
            _decode(job, files[0], line)
    finally:
        os._exit(0)  # also when nobody waits for the sound any more, and what was raised is that


def _bound(job: Job, file: int) -> None:
    """Limit what this process may take: memory, files it can write, core dumps."""
    if _STATM.exists():  # elsewhere than on Linux the limit does not hold, or counts something else
        taken = int(_STATM.read_bytes().split()[0]) * resource.getpagesize()
        limit = taken + os.fstat(file).st_size + job.memory_mb * MIB
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for name in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(name, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))


def _decode(job: Job, file: int, answer: socket.socket) -> None:
    try:
        # A decoder that goes round in circles never comes back to Python; this signal's default is to end the process.
        signal.setitimer(signal.ITIMER_PROF, job.quiet_s)
        for frame in _answers(job, Path(f"/dev/fd/{file}")):
            answer.sendall(frame.encode())
            signal.setitimer(signal.ITIMER_PROF, job.quiet_s)
    except SpeechError as error:
        answer.sendall(error_frame(error).encode())
    except MemoryError:
        too_big = InvalidAudio("Decoding the file takes more memory than the server gives it.", param="file")
        answer.sendall(error_frame(too_big).encode())
    else:
        answer.sendall(END.encode())


def _answers(job: Job, file: Path) -> Iterator[Frame]:
    if job.rate:
        yield from map(audio_frame, blocks(file, job.rate, max_seconds=job.max_seconds))
    else:
        yield Frame(Kind.JSON, json.dumps(stated_seconds(file)).encode())
