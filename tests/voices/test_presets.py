from __future__ import annotations

from pathlib import Path

import pytest

from open_speech.config import SettingsError
from open_speech.registry import OPENAI_VOICES
from open_speech.voices import Preset, Presets, read_presets
from open_speech.voices.presets import FILE_BYTES, is_name

TEXT = """
voices:
  narrator: af_bella(2)+af_sky(1)
  news reader: {model: piper/joe, voice: joe, speed: 1.1, language: en, description: Calm and quick.}
openai:
  alloy: narrator
  nova: af_nova
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "voices.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_a_name_alone_is_a_voice_or_a_blend(file: Path) -> None:
    assert read_presets(file).voices["narrator"] == Preset(voice="af_bella(2)+af_sky(1)")


def test_a_preset_says_all_that_it_wants_to(file: Path) -> None:
    expected = Preset(model="piper/joe", voice="joe", speed=1.1, language="en", description="Calm and quick.")
    assert read_presets(file).find("news reader") == expected


def test_openais_names_mean_a_preset_or_a_voice(file: Path) -> None:
    presets = read_presets(file)
    assert presets.find("alloy") == presets.voices["narrator"]
    assert presets.find("nova") == Preset(voice="af_nova")
    assert presets.find("echo") is presets.find(None) is presets.find("af_nova") is None


@pytest.mark.parametrize("text", ["", "voices:\n", "voices: {}\nopenai:\n", "# nothing yet\n"])
def test_an_empty_file_has_no_presets(tmp_path: Path, text: str) -> None:
    path = tmp_path / "voices.yaml"
    path.write_text(text, encoding="utf-8")
    assert read_presets(path) == Presets()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("voices: {narrator: {voise: x}}", "narrator"),
        ("voices: {narrator: {speed: 9}}", r"narrator.speed"),
        ("voices: {narrator: 5}", "narrator"),
        ("voices: {'a+b': x}", "a voice's name has"),
        ("voices: {'../x': x}", "a voice's name has"),
        ("voices: {alloy: x}", "alloy.*openai"),
        ("openai: {bob: x}", "bob"),
        ("openai: {alloy: {voice: x}}", "alloy"),
        ("voice: {}", "voice"),
        ("[1, 2]", "voices.yaml"),
        ("voices: {a: b", "not YAML"),
        ("voices: !!python/object/apply:os.getcwd []", "not YAML"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "voices.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=rf"(?s)TTS_VOICES_CONFIG: .*{named}"):
        read_presets(path)


def test_a_file_that_is_not_there_or_far_too_large_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_presets(tmp_path / "none.yaml")
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (FILE_BYTES + 1))
    with pytest.raises(SettingsError, match="larger than 1 MiB"):
        read_presets(path)


@pytest.mark.parametrize("name", [*OPENAI_VOICES, "a", "Anna de", "Uncle_Fu", "en_US-joe-medium", "Zoë", "x" * 64])
def test_a_name_may_be_like_this(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", " a", "a ", "_a", ".", "..", "a/b", "a+b", "a(2)", "a#1", "a\n", "a]", "x" * 65])
def test_a_name_may_not_be_like_this(name: str) -> None:
    assert not is_name(name)
