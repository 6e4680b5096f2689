"""A process that decodes strangers' files in children of its own, one for each.

It imports the codecs once and then forks, which takes a few milliseconds where a new interpreter takes half a second; one child is
always there before its file is. A child has no key and no secret in its environment, and is ended by the kernel when it crosses a bound.
Before it gets its file it is confined (`open_speech/sandbox`): all that it can reach is that file and the socket it answers on. So
everything that decoding needs must be loaded, and have been used once, before the fork. What a hostile file does to a decoder dies with
the child: no other file was ever in it.
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
from open_speech.codecs.decode import blocks, survey
from open_speech.codecs.encode import encoder
from open_speech.codecs.probe import stated_seconds
from open_speech.dispatch.frames import END, Frame, Kind, audio_frame, error_frame
from open_speech.errors import InvalidAudio, SpeechError
from open_speech.sandbox import confine, hide_memory, preload

MIB = 1 << 20
JOB_BYTES = 1 << 12
ORDER = b"?"
"""What asks the nursery for a child."""
BORN, STILLBORN = b"1", b"0"
"""What it answers: BORN comes with the child's socket, which takes the job with its file and gives the sound."""
_CLIP_RATE = 24_000
_FILES = 16
"""Descriptors a child may have open; a few are taken by then."""
_LONGEST_S = 1 << 30
"""CPU seconds that a limit can say."""
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
    formats: tuple[str, ...] = ()
    """Containers that are read, as `decode.blocks` takes them."""
    channel: int | None = None
    """The channel to decode, counted from 0; None mixes them."""
    surveys: bool = False
    """No audio is wanted, but what the channels are for."""

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
    hide_memory()
    preload()
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
        os.dup2(sys.stdout.fileno(), sys.stderr.fileno())  # the server's log is not for it to write to
        for _ in blocks(clip, STT_RATE, max_seconds=1):
            pass
        taken = _memory()
        line.sendall(Frame(Kind.JSON, confine().encode()).encode())
        data, files, _, _ = socket.recv_fds(line, JOB_BYTES, 1)
        if data:
            job = Job.decode(data)
            _bound(job, files[0], taken)
            _decode(job, files[0], line)
    finally:
        os._exit(0)  # also when nobody waits for the sound any more, and what was raised is that


def _memory() -> int:
    """Return the bytes of address space that this process has; 0 where that is not known."""
    return int(_STATM.read_bytes().split()[0]) * resource.getpagesize() if _STATM.exists() else 0


def _bound(job: Job, file: int, taken: int) -> None:
    """Limit what this process may take: memory, CPU time, files it can write, core dumps. `taken`: bytes that it had before its job."""
    if taken:  # elsewhere than on Linux the limit does not hold, or counts something else
        limit = taken + os.fstat(file).st_size + job.memory_mb * MIB
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # No file takes longer than the longest audio lasts. An exploited decoder could stop the timer of `_decode`, but not this one.
    seconds = min(int(job.max_seconds + job.quiet_s) + 1, _LONGEST_S)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    for name in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(name, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))


def _decode(job: Job, file: int, answer: socket.socket) -> None:
    try:
        # A decoder that goes round in circles never comes back to Python; this signal's default is to end the process.
        signal.setitimer(signal.ITIMER_PROF, job.quiet_s)
        for frame in _answers(job, file):
            answer.sendall(frame.encode())
            signal.setitimer(signal.ITIMER_PROF, job.quiet_s)
    except SpeechError as error:
        answer.sendall(error_frame(error).encode())
    except MemoryError:
        too_big = InvalidAudio("Decoding the file takes more memory than the server allows (OS_DECODE_MEMORY_MB).", param="file")
        answer.sendall(error_frame(too_big).encode())
    else:
        answer.sendall(END.encode())


def _answers(job: Job, file: int) -> Iterator[Frame]:
    if job.surveys:
        yield Frame(Kind.JSON, json.dumps(asdict(survey(file, max_seconds=job.max_seconds))).encode())
    elif job.rate:
        found = blocks(file, job.rate, max_seconds=job.max_seconds, channel=job.channel, formats=tuple(job.formats))
        yield from map(audio_frame, found)
    else:
        yield Frame(Kind.JSON, json.dumps(stated_seconds(file)).encode())
