"""A recognizer that takes exactly the time of its costs, as a package that a server finds: it checks the simulation on a busy machine.

Its worker sleeps, so it needs no processor, and nothing that other programs do changes its service times.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.capacity.costs import ReplicaCosts

BACKEND, MODEL = "timed", "timed/runner"
COSTS = ReplicaCosts(fixed_s=0.15, per_audio_s=0.05, spread=0.0, more=0.4, slowdown=(1.0, 1.0), batch=4, partial=1.0)

_PLUGIN = f"""
from open_speech.backends import BackendEntry, ModelEntry, Task
from open_speech.plugins import Plugin

PLUGIN = Plugin(
    BackendEntry("{BACKEND}", Task.STT, "open_speech_timed.runner:Timed", (), "", "MIT", batch={COSTS.batch}),
    (ModelEntry("{MODEL}", "{BACKEND}", Task.STT, "MIT", ("en",), "Sleeps, and answers how long a window takes alone."),),
)
"""
_RUNNER = f"""
import time

from open_speech.backends import WindowResult
from open_speech.transcript import Segment, TranscriptInfo
from runners.wiring.bento_service import Resources, stt_service


class Timed:
    def __init__(self, setup):
        pass

    def load(self):
        pass

    def transcribe(self, audio, options):
        yield TranscriptInfo("en", 1.0, audio.seconds)
        yield Segment(0.0, audio.seconds, " whole")

    def transcribe_windows(self, windows):
        times = [{COSTS.fixed_s} + {COSTS.per_audio_s} * window.audio.seconds for window in windows]
        time.sleep(max(times) * (1 + {COSTS.more} * (len(windows) - 1)))
        return [
            WindowResult("en", 1.0, (Segment(0.0, window.audio.seconds, f" {{seconds:.4f}}"),))
            for window, seconds in zip(windows, times, strict=True)
        ]


Runner = stt_service("{BACKEND}", Timed, Resources(threads={COSTS.workers}))
"""
_METADATA = "Metadata-Version: 2.1\nName: open-speech-timed\nVersion: 1.0\n"
_ENTRY = f"[open_speech.backends]\n{BACKEND} = open_speech_timed:PLUGIN\n"


def install(folder: Path) -> None:
    """Write the package into a folder, as an installation does; a server with the folder in PYTHONPATH has the backend."""
    files = {
        "open_speech_timed/__init__.py": _PLUGIN,
        "open_speech_timed/runner.py": _RUNNER,
        "open_speech_timed-1.0.dist-info/METADATA": _METADATA,
        "open_speech_timed-1.0.dist-info/entry_points.txt": _ENTRY,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
