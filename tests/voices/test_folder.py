from __future__ import annotations

from pathlib import Path

import pytest

from open_speech.voices import VoiceFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("anna_de.wav", "anna_de.mp3", "bob.flac", "carl_the_great.wav", "_x.wav", "a+b_en.wav", "notes.txt", "EVA_pt-BR.WAV"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "anna_de.txt").write_text("Guten Tag.\n", encoding="utf-8")
    (tmp_path / "sub_en.wav").mkdir()
    return tmp_path


def test_every_sound_file_is_a_voice_by_its_stem_with_the_language_it_ends_in(folder: Path) -> None:
    found = {voice.name: voice.language for voice in VoiceFolder(folder).voices()}
    assert found == {"EVA_pt-BR": "pt-BR", "anna_de": "de", "bob": None, "carl_the_great": None}


def test_of_two_files_of_one_stem_the_wav_counts(folder: Path) -> None:
    voice = VoiceFolder(folder).find("anna_de")
    assert voice is not None
    assert voice.path.name == "anna_de.wav"


def test_a_text_beside_it_is_what_is_said(folder: Path) -> None:
    voices = {voice.name: voice.transcript for voice in VoiceFolder(folder).voices()}
    assert (voices["anna_de"], voices["bob"]) == ("Guten Tag.", None)


def test_a_new_file_is_there_at_once(folder: Path) -> None:
    voices = VoiceFolder(folder)
    assert voices.find("dora_fr") is None
    (folder / "dora_fr.wav").write_bytes(b"x")
    assert voices.find("dora_fr") is not None


@pytest.mark.parametrize("name", ["../anna_de", "anna_de.wav", "", ".", "sub_en"])
def test_only_a_stem_finds_a_file(folder: Path, name: str) -> None:
    assert VoiceFolder(folder).find(name) is None


def test_without_a_folder_there_are_no_voices(tmp_path: Path) -> None:
    assert VoiceFolder(None).voices() == VoiceFolder(tmp_path / "none").voices() == []
