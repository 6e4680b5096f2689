"""Isolation that a process asks for before it imports the codecs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.served import ROOT
from tests.waiting import PATIENCE_S

PROGRAM = """
import sys
from open_speech.sandbox.decoding import DecodingLimits, isolate_decoding
isolate_decoding(DecodingLimits(memory_mb=128, quiet_s=20) if sys.argv[1] == "isolated" else None)
assert "av" not in sys.modules
import numpy as np
import psutil
from open_speech.audio import Audio
from open_speech.codecs import decode, encoder
file = encoder("flac", 16_000)
data = file.encode(Audio(np.zeros(16_000, np.float32), 16_000)) + file.finish()
assert not psutil.Process().children()
seconds = decode(data, 16_000, max_seconds=9).seconds
print(seconds, len(psutil.Process().children()))
"""


@pytest.mark.parametrize(("place", "processes"), [("isolated", 1), ("here", 0)])
def test_a_file_is_decoded_where_the_process_wished_before_it_imported_the_codecs(place: str, processes: int) -> None:
    command = [sys.executable, "-c", PROGRAM, place]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert shown.stdout.split() == ["1.0", str(processes)]
