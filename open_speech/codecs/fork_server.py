"""A process that decodes untrusted files in child processes, one child per file.

It imports the codecs once and then forks, which takes a few milliseconds, while a new interpreter takes half a second. One child is
always kept ready. A child has no API key and no other secret in its environment, and the kernel ends it when it exceeds a limit.
Before it receives its file it confines itself (`open_speech/sandbox`): it can only access that file and the socket for its response.
Everything that decoding needs must therefore be loaded, and have been used once, before the fork. Whatever a hostile file does to a
decoder ends with the child, which never sees another file.
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
FORK_REQUEST = b"?"
"""Message that asks the fork server for a child."""
FORKED, FORK_FAILED = b"1", b"0"
"""Its responses: FORKED is sent with the child's socket, which receives the job with its file and returns the audio."""
_CLIP_RATE = 24_000
_FILES = 16
"""Descriptors that a child may have open, including those that it inherits."""
_LONGEST_S = 1 << 30
"""Maximum of the CPU limit in seconds."""
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Job:
    """The work of one child on the file that it receives."""

    rate: int
    """Sample rate of the requested audio in Hertz; 0 requests only the duration that the file states."""
    max_seconds: float
    memory_mb: int
    """Maximum memory in MiB beyond that of the fork server."""
    quiet_s: float
    """Maximum CPU seconds until the next piece of audio."""
    formats: tuple[str, ...] = ()
    """Containers that are read, as in `decode.blocks`."""
    channel: int | None = None
    """The channel to decode, counted from 0; None mixes all channels."""
    surveys: bool = False
    """Whether a survey of the channels is requested instead of audio."""

    def encode(self) -> bytes:
        """Encode the job as one message."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Job:
        """Decode a message of `encode`."""
        return cls(**json.loads(data))


def main() -> None:
    """Fork children on request of the socket whose descriptor is the first argument, until the other end is closed."""
    control = socket.socket(fileno=int(sys.argv[1]))
    # At shutdown the APIs are stopped first: they finish the requests that they have accepted, and then close this socket.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the children
    hide_memory()
    preload()
    clip = _clip()
    gc.collect()
    gc.freeze()  # otherwise the first collection of a child would copy every page that it shares with its siblings
    while control.recv(1) == FORK_REQUEST:
        child = _fork_child(control, clip)
        if child is None:
            control.send(FORK_FAILED)
        else:
            with child:
                socket.send_fds(control, [FORKED], [child.fileno()])


def _clip() -> bytes:
    """Return a short MP3 file that every child decodes before it waits for its job.

    Half of the time that a forked process takes for a short file is spent by the kernel on copying pages as they are touched.
    """
    coder = encoder("mp3", _CLIP_RATE)
    return coder.encode(silence(0.5, _CLIP_RATE)) + coder.finish()


def _fork_child(control: socket.socket, clip: bytes) -> socket.socket | None:
    """Fork a child that waits for its job, and return the socket to it; None if no more processes can be created."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            if os.fork() == 0:
                control.close()
                ours.close()
                _child(theirs, clip)
        except OSError:
            ours.close()
            return None
    return ours


def _child(client: socket.socket, clip: bytes) -> None:
    """Do one job and exit, without Python's exit handlers: they belong to the modules that the fork server imported."""
    try:
        os.dup2(sys.stdout.fileno(), sys.stderr.fileno())  # a child must not write to the server's log
        for _ in blocks(clip, STT_RATE, max_seconds=1):
            pass
        used = _memory()
        client.sendall(Frame(Kind.JSON, confine().encode()).encode())
        data, files, _, _ = socket.recv_fds(client, JOB_BYTES, 1)
        if data:
            job = Job.decode(data)
            _limit(job, files[0], used)
            _decode(job, files[0], client)
    finally:
        os._exit(0)  # also when sending failed because the client no longer waits


def _memory() -> int:
    """Return the size of this process's address space in bytes; 0 if it is not known."""
    return int(_STATM.read_bytes().split()[0]) * resource.getpagesize() if _STATM.exists() else 0


def _limit(job: Job, file: int, used: int) -> None:
    """Limit the memory, the CPU time, written files and core dumps of this process. `used`: its address space in bytes before the job."""
    if used:  # on systems other than Linux the limit is not enforced, or counts something else
        limit = used + os.fstat(file).st_size + job.memory_mb * MIB
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # No file takes longer than the longest audio lasts. An exploited decoder could stop the timer of `_decode`, but not this limit.
    seconds = min(int(job.max_seconds + job.quiet_s) + 1, _LONGEST_S)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    for name in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(name, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))


def _decode(job: Job, file: int, client: socket.socket) -> None:
    try:
        # A decoder in an endless loop never returns to Python; the default action of this signal ends the process.
        signal.setitimer(signal.ITIMER_PROF, job.quiet_s)
        for frame in _response(job, file):
            client.sendall(frame.encode())
            signal.setitimer(signal.ITIMER_PROF, job.quiet_s)
    except SpeechError as error:
        client.sendall(error_frame(error).encode())
    except MemoryError:
        too_big = InvalidAudio("Decoding the file takes more memory than the server allows (OS_DECODE_MEMORY_MB).", param="file")
        client.sendall(error_frame(too_big).encode())
    else:
        client.sendall(END.encode())


def _response(job: Job, file: int) -> Iterator[Frame]:
    if job.surveys:
        yield Frame(Kind.JSON, json.dumps(asdict(survey(file, max_seconds=job.max_seconds))).encode())
    elif job.rate:
        decoded = blocks(file, job.rate, max_seconds=job.max_seconds, channel=job.channel, formats=tuple(job.formats))
        yield from map(audio_frame, decoded)
    else:
        yield Frame(Kind.JSON, json.dumps(stated_seconds(file)).encode())
