"""llama.cpp: language models in GGUF files, through xllamacpp, which runs llama.cpp's own server inside this process.

That server has the chat templates, the batching of conversations in flight, and the cache of their prompts: the next turn of a conversation
finds its earlier turns there. It always listens for HTTP as well, so it is given a Unix socket in a private folder, and a random key.
"""

from __future__ import annotations

import logging
import os
import queue
import re
import secrets
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_speech.backends import Setup
from open_speech.errors import BackendFailed, NotEnoughMemory, WeightsCorrupt, WeightsUnavailable
from open_speech.hub_names import local_id
from runners.host.available_memory import available_bytes
from runners.support.backend_options import LlamaOptions
from runners.support.gguf import Gguf, GgufFault, read_gguf
from runners.support.llama_requests import body_of, error_of, is_continuation, refusal
from runners.support.native_log import captured_stderr
from runners.wiring.bento_service import Resources, llm_service

if TYPE_CHECKING:
    from xllamacpp import CommonParams, Server  # noqa: TID251 - for the type checker only

log = logging.getLogger("open_speech.runner")

_SILENT, _ERRORS = 0, 1
"""Verbosity of llama.cpp's own log. While it serves, the errors of requests are in its responses."""
_ERROR_LINE = re.compile(r"[\d.]+ E (?P<text>.*)")
_REASON = re.compile(r"error loading model(?: \w+)?: (?P<reason>.*)")
_LOG_S = 0.2
"""Seconds in which llama.cpp's log thread has written its last lines."""
_READ_BYTES = 8 << 20
_MIB = 1 << 20


class Llama:
    """One GGUF file. Each call occupies one of `LLM_PARALLEL` slots; the tokens of all slots are computed together."""

    def __init__(self, setup: Setup) -> None:
        """Store the setup; the folder contains one `.gguf` file."""
        self._setup = setup
        self._options = LlamaOptions.of(setup.settings)
        self._loaded: list[Server] = []
        self.socket_folder: Path | None = None
        """Private folder of the socket on which llama.cpp listens, while the model is loaded."""

    def load(self) -> None:
        """Load the file. Raises WeightsUnavailable, WeightsCorrupt, NotEnoughMemory or BackendFailed."""
        path = self._file()
        header = _header(path)
        if not self._uses_gpu():
            self._check_memory(header)
        if (available := available_bytes()) is None or header.file_bytes < available:
            _read_ahead(path)
        socket = tempfile.TemporaryDirectory(prefix="open-speech-llm-")
        self.socket_folder = Path(socket.name)
        # Also at the end of the process: llama.cpp's threads end before it does, and the socket is removed.
        self._closing = weakref.finalize(self, _close, self._loaded, socket)
        try:
            self._loaded.append(self._server(path, header))
        except BaseException:
            self.close()
            raise

    def generate(self, request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield the chunks of the answer, and empty ones after each part of the prompt. Raises as TextGenerator."""
        (server,) = self._loaded
        body = body_of(request, stops=self._setup.model.stop)
        handle = server.handle_completions if is_continuation(body) else server.handle_chat_completions
        return _Answer(handle, body).chunks()

    def close(self) -> None:
        """Free the model. The same happens when the last reference to this object is gone, and at the end of the process."""
        self._closing()

    def _file(self) -> Path:
        """Return the model's file. Raises WeightsUnavailable."""
        chosen = Path(self._options.model).expanduser()
        if self._setup.model.id == local_id(self._options.model):
            found = [chosen] if chosen.is_file() else []
        else:
            found = sorted(self._setup.folder.glob("*.gguf"))
        if not found:
            raise WeightsUnavailable(f"The model `{self._setup.model.id}` has no GGUF file.")
        return found[0]

    def _uses_gpu(self) -> bool:
        """Return whether layers of the model are kept on a GPU, so that the main memory says little about whether it fits."""
        return self._options.gpu_layers != 0 and self._setup.device != "cpu" and bool(gpus())

    def _context_bytes(self, header: Gguf) -> int:
        """Return the memory of the contexts of all slots."""
        return header.cache_bytes(self._options.context_size * self._options.parallel)

    def _check_memory(self, header: Gguf) -> None:
        """Raise NotEnoughMemory for a model that cannot be kept in memory: llama.cpp would be killed by the system."""
        options, cache = self._options, self._context_bytes(header)
        needed, available = header.file_bytes + cache, available_bytes()
        if available is not None and needed > available:
            conversations = f"{options.parallel} conversations of {options.context_size} tokens"
            raise NotEnoughMemory(
                f"The model `{self._setup.model.id}` needs up to {needed // _MIB} MiB of memory ({header.file_bytes // _MIB} for the model,"
                f" {cache // _MIB} for {conversations}), and {available // _MIB} MiB are available. Choose a smaller model, or lower"
                " LLM_CONTEXT_SIZE or LLM_PARALLEL."
            )

    def _server(self, path: Path, header: Gguf) -> Server:
        from xllamacpp import Server  # noqa: PLC0415, TID251 - every child process imports every runner module

        try:
            return Server(self._parameters(path, header, _SILENT))
        except (RuntimeError, ValueError, MemoryError) as error:
            reason = self._reason(path, header)
            kind = f" (architecture `{header.architecture}`)" if header.architecture else ""
            raise BackendFailed(f"llama.cpp cannot load `{path.name}`{kind}: {reason}.") from error

    def _reason(self, path: Path, header: Gguf) -> str:
        """Load the file once more to learn why it cannot be loaded: llama.cpp reports that only in its log, which is silent otherwise."""
        from xllamacpp import Server  # noqa: PLC0415, TID251 - as above

        lines: list[str] = []
        with captured_stderr(lines, settle_s=_LOG_S):
            try:
                Server(self._parameters(path, header, _ERRORS))
            except (RuntimeError, ValueError, MemoryError):
                pass
        errors = [found["text"] for line in lines if (found := _ERROR_LINE.match(line))]
        for text in dict.fromkeys(errors):
            log.error("llama.cpp: %s", text)
        reasons = [found["reason"] for text in errors if (found := _REASON.search(text))]
        return (reasons[0] if reasons else "the log has the reason").replace(str(path), path.name)

    def _parameters(self, path: Path, header: Gguf, verbosity: int) -> CommonParams:
        from xllamacpp import CommonParams  # noqa: PLC0415, TID251 - as above

        assert self.socket_folder is not None
        options, params = self._options, CommonParams()
        params.model.path = str(path)
        params.model_alias = {self._setup.model.id}
        params.n_ctx = options.context_size * options.parallel  # llama.cpp divides it among the slots
        params.n_parallel = options.parallel
        params.n_batch = options.batch_size
        params.n_ubatch = min(params.n_ubatch, options.batch_size)
        params.n_gpu_layers = options.gpu_layers if self._setup.device != "cpu" else 0
        params.cache_ram_mib = prompt_cache_mib(header.file_bytes, self._context_bytes(header), available_bytes())
        params.use_jinja = True
        params.ui = params.endpoint_slots = False
        params.endpoint_metrics = True  # for the tests; like the whole server, not reachable from outside
        params.n_threads_http = 1
        params.verbosity = verbosity
        threads = options.threads or self._setup.threads or default_threads(os.cpu_count() or 1)
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        if self._setup.model.chat_template:
            params.chat_template = self._setup.model.chat_template
        socket = self.socket_folder / "llama.sock"
        socket.unlink(missing_ok=True)  # of an attempt before this one
        params.hostnames = [str(socket)]
        params.api_keys = [secrets.token_hex(16)]
        return params


class _Answer:
    """One answer: llama.cpp reports its chunks to a callback in a thread, and they are read from a queue."""

    def __init__(self, handle: Callable[[dict[str, Any], Callable[[Mapping[str, Any]], bool]], object], body: Mapping[str, Any]) -> None:
        self._handle = handle
        self._body = body
        self._chunks: queue.SimpleQueue[Mapping[str, Any] | Exception | None] = queue.SimpleQueue()
        self._left = threading.Event()

    def chunks(self) -> Iterator[Mapping[str, Any]]:
        """Yield the chunks; closing this ends the generation at the next token, or after the current part of the prompt."""
        # Not a daemon: when the process ends, such a thread must not be within llama.cpp, so Python waits for it. `_receive` ends it.
        threading.Thread(target=self._run, name="answer", daemon=False).start()
        try:
            while (chunk := self._chunks.get()) is not None:
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk
        finally:
            self._left.set()

    def _run(self) -> None:
        try:
            self._handle(dict(self._body), self._receive)
            self._chunks.put(None)
        except (RuntimeError, ValueError, TypeError) as error:
            self._chunks.put(refusal(error, self._body))
        except Exception as error:  # noqa: BLE001 - a thread must not end without telling the reader
            self._chunks.put(error)

    def _receive(self, chunk: Mapping[str, Any]) -> bool:
        """Take a chunk; returns whether the generation is to end: its reader has left, or the main thread has ended, and so the process."""
        if "error" in chunk:
            self._chunks.put(error_of(chunk["error"]))
        else:
            self._chunks.put({} if "prompt_progress" in chunk else chunk)
        return self._left.is_set() or not threading.main_thread().is_alive()


def default_threads(cores: int) -> int:
    """Return one thread fewer than there are cores.

    Its threads wait for each other actively, and speech is recognized and synthesized meanwhile: on two busy cores, two threads generate 4
    tokens per second and one 19.
    """
    return max(1, cores - 1)


def gpus() -> list[str]:
    """Return the names of the GPUs that the installed llama.cpp can use; none for a build without support for GPUs."""
    from xllamacpp import get_device_info  # noqa: PLC0415, TID251 - as above

    return [str(device["description"]) for device in get_device_info() if "GPU" in str(device["type"])]


def prompt_cache_mib(file_bytes: int, context_bytes: int, available: int | None) -> int:
    """Return the maximum memory in MiB for the prompts of conversations that are not in a slot at the moment; llama.cpp's default is 8 GiB.

    It has room for as many conversations as there are slots (`context_bytes`), but takes no more than half of what the model leaves of the
    `available` bytes.
    """
    left = context_bytes if available is None else (available - file_bytes - context_bytes) // 2
    return max(0, min(context_bytes, left)) // _MIB


def _header(path: Path) -> Gguf:
    """Read the header. Raises WeightsUnavailable, or WeightsCorrupt for another kind of file and for one that is not complete."""
    try:
        header = read_gguf(path)
    except OSError as error:
        raise WeightsUnavailable(f"The file `{path.name}` of the model cannot be read: {error.strerror}.") from error
    except GgufFault as fault:
        raise WeightsCorrupt(f"The file `{path.name}` of the model is {fault}.") from fault
    if header.file_bytes < header.needed_bytes:
        missing = f"it has {header.file_bytes} bytes, and its tensors need {header.needed_bytes}"
        raise WeightsCorrupt(f"The file `{path.name}` of the model is incomplete: {missing}.")
    return header


def _read_ahead(path: Path) -> None:
    """Read the file into the system's cache: xllamacpp stops all Python threads while it loads a file, and so the reports of progress."""
    buffer = bytearray(_READ_BYTES)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def _close(loaded: list[Server], socket: tempfile.TemporaryDirectory[str]) -> None:
    loaded.clear()
    socket.cleanup()


Runner = llm_service("llama", Llama, Resources(gpu=0.5, threads=4, cpu=2, memory="2Gi"))
