"""`speak` and `transcribe`: what one writes the other reads, on the weightless backends."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.waiting import PATIENCE_S

Run = Callable[..., Any]
TEXT = "The quick brown fox jumps over the lazy dog."


@pytest.fixture
def spoken(run: Run, tmp_path: Path) -> Path:
    file = tmp_path / "fox.wav"
    assert run("speak", TEXT, "-o", str(file)).exit_code == 0
    return file


@pytest.mark.parametrize("suffix", ["mp3", "opus", "ogg", "aac", "flac", "wav"])
def test_a_spoken_file_is_heard_back_in_every_format(run: Run, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"fox.{suffix}"
    spoken = run("speak", TEXT, "-o", str(file))
    assert (spoken.exit_code, spoken.output) == (0, "")
    assert run("transcribe", str(file)).stdout == f"{TEXT}\n"


def test_the_suffix_chooses_the_format(run: Run, tmp_path: Path) -> None:
    run("speak", TEXT, "-o", str(tmp_path / "a.flac"))
    assert (tmp_path / "a.flac").read_bytes().startswith(b"fLaC")


def test_a_wav_file_says_how_long_it_is(spoken: Path) -> None:
    found = soundfile.info(spoken)
    assert (found.format, found.subtype, found.channels) == ("WAV", "PCM_16", 1)
    assert 2 * found.frames == spoken.stat().st_size - 44


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_file_has_the_samples_of_the_stream_and_their_number(run: Run, tmp_path: Path, spoken: Path, form: str) -> None:
    file = tmp_path / f"a.{form}"
    run("speak", TEXT, "-o", str(file))
    samples, rate = soundfile.read(file, dtype="int16")
    expected, _ = soundfile.read(spoken, dtype="int16")
    assert (rate, soundfile.info(file).frames) == (24_000, len(expected))
    assert np.array_equal(samples, expected)
    redirected = run("speak", TEXT, "-o", "-", "--format", form).stdout_bytes
    assert np.array_equal(soundfile.read(io.BytesIO(redirected), dtype="int16")[0], expected)


def test_a_full_disk_is_reported_and_leaves_no_file(tmp_path: Path, tones: dict[str, str | None]) -> None:
    """The limit on the size of a file has the same effect as a full disk."""
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "import open_speech.cli.speak\n"
        "from open_speech.cli import main; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"main(['speak', {TEXT!r}, '-o', {str(tmp_path / 'a.wav')!r}])"
    )
    environ = os.environ | {name: value for name, value in tones.items() if value is not None}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"Error: Could not open file '{tmp_path / 'a.wav'}': "), done.stderr
    assert [path.name for path in tmp_path.glob("a.*")] == []


def test_a_format_that_is_asked_for_beats_the_suffix(run: Run, tmp_path: Path) -> None:
    run("speak", TEXT, "-o", str(tmp_path / "a.bin"), "--format", "wav")
    assert (tmp_path / "a.bin").read_bytes().startswith(b"RIFF")


def test_an_unknown_suffix_is_wrong_use(run: Run, tmp_path: Path) -> None:
    result = run("speak", TEXT, "-o", str(tmp_path / "a.xyz"))
    assert result.exit_code == 2
    assert "--format" in result.stderr


def test_text_from_stdin_goes_as_sound_to_stdout_and_back(run: Run) -> None:
    sound = run("speak", "-", "-o", "-", "--format", "flac", stdin=TEXT)
    assert sound.stdout_bytes.startswith(b"fLaC")
    assert run("transcribe", "-", stdin=sound.stdout_bytes).stdout == f"{TEXT}\n"


def test_a_failed_speech_names_the_field_and_leaves_no_file(run: Run, tmp_path: Path) -> None:
    result = run("speak", TEXT, "-o", str(tmp_path / "a.mp3"), "--voice", "nobody")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: voice: ")
    assert list(tmp_path.glob("*a.mp3*")) == []


def test_a_failed_speech_leaves_the_old_file_as_it_was(run: Run, spoken: Path) -> None:
    before = spoken.read_bytes()
    assert run("speak", TEXT, "--voice", "nobody", "-o", str(spoken)).exit_code == 1
    assert spoken.read_bytes() == before


def test_a_speed_out_of_range_names_the_field(run: Run, tmp_path: Path) -> None:
    result = run("speak", TEXT, "-o", str(tmp_path / "a.mp3"), "--speed", "9")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: speed: ")


def test_a_model_of_the_wrong_task_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("speak", TEXT, "-o", str(tmp_path / "a.mp3"), "--model", "whisper-1")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: model: ")


def test_verbose_json_has_segments_and_words(run: Run, spoken: Path) -> None:
    body = json.loads(run("transcribe", str(spoken), "--format", "verbose_json").stdout)
    assert body["text"] == TEXT
    assert [word["word"] for word in body["words"]] == TEXT.split()
    assert body["segments"][0]["start"] >= 0


def test_subtitles_have_times(run: Run, spoken: Path) -> None:
    assert run("transcribe", str(spoken), "--format", "srt").stdout.startswith("1\n00:00:00,")
    assert run("transcribe", str(spoken), "--format", "vtt").stdout.startswith("WEBVTT\n\n00:00:00.")


def test_several_files_go_under_titles_and_a_bad_one_does_not_stop_the_rest(run: Run, spoken: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_text("no sound in here")
    result = run("transcribe", str(spoken), str(broken), str(spoken.rename(tmp_path / "again.wav")))
    assert result.exit_code == 2  # the first name is gone: refused before any work
    again = tmp_path / "again.wav"
    result = run("transcribe", str(broken), str(again))
    assert result.exit_code == 1
    assert result.stdout == f"# {again}\n{TEXT}\n"
    assert result.stderr.startswith(f"Error: {broken}: file: ")


def test_output_is_a_file_for_one_and_a_folder_for_several(run: Run, spoken: Path, tmp_path: Path) -> None:
    assert run("transcribe", str(spoken), "-o", str(tmp_path / "one.txt")).stdout == ""
    assert (tmp_path / "one.txt").read_text() == f"{TEXT}\n"
    other = tmp_path / "other.wav"
    other.write_bytes(spoken.read_bytes())
    assert run("transcribe", str(spoken), str(other), "--format", "srt", "-o", str(tmp_path / "texts")).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "texts").iterdir()) == ["fox.srt", "other.srt"]


def test_two_files_of_one_name_would_overwrite_each_other_and_are_refused(run: Run, spoken: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin/fox.wav"
    twin.parent.mkdir()
    twin.write_bytes(spoken.read_bytes())
    result = run("transcribe", str(spoken), str(twin), "-o", str(tmp_path / "texts"))
    assert result.exit_code == 2
    assert "same name" in result.stderr
    assert not (tmp_path / "texts").exists()


def test_a_language_may_be_a_name_and_an_unknown_one_is_wrong_use(run: Run, spoken: Path) -> None:
    assert run("transcribe", str(spoken), "--language", "English").stdout == f"{TEXT}\n"
    assert run("transcribe", str(spoken), "--language", "klingon").exit_code == 2
