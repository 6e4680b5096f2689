"""Names of models on the hub that no catalog lists."""

from __future__ import annotations

import pytest

from open_speech.hub_names import gguf_file, gguf_id, is_repository, local_id


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bartowski/google_gemma-3-4b-it-GGUF", "bartowski/google_gemma-3-4b-it-GGUF/google_gemma-3-4b-it-Q4_K_M.gguf"),
        ("bartowski/google_gemma-3-4b-it-GGUF:Q8_0", "bartowski/google_gemma-3-4b-it-GGUF/google_gemma-3-4b-it-Q8_0.gguf"),
        ("unsloth/gemma-3-1b-it-gguf", "unsloth/gemma-3-1b-it-gguf/gemma-3-1b-it-Q4_K_M.gguf"),
        ("owner/repo/some-file.gguf", "owner/repo/some-file.gguf"),
        ("gemma-3-4b-it", "gemma-3-4b-it"),
        ("Systran/faster-whisper-base", "Systran/faster-whisper-base"),
        ("../name-GGUF", "../name-GGUF"),
        ("owner/..-GGUF:Q4", "owner/..-GGUF:Q4"),
    ],
)
def test_a_repository_of_gguf_files_means_one_of_its_files(name: str, expected: str) -> None:
    assert gguf_id(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("owner/repo/file-Q4_K_M.gguf", ("owner/repo", "file-Q4_K_M.gguf")),
        ("owner/repo/file.bin", None),
        ("owner/repo/folder/file.gguf", None),
        ("owner/../file.gguf", None),
        ("owner/repo/..gguf", None),
        ("owner/repo\n/file.gguf", None),
        ("file.gguf", None),
    ],
)
def test_the_id_of_a_gguf_file_has_its_repository(name: str, expected: tuple[str, str] | None) -> None:
    assert gguf_file(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("owner/name", True), ("owner/name/file", False), ("owner", False), ("../name", False), ("owner/a..b", False)]
)
def test_a_repository_has_an_owner_and_a_name(name: str, expected: bool) -> None:
    assert is_repository(name) is expected


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("/models/My Model.gguf", "local/My-Model"),
        ("~/small.gguf", "local/small"),
        ("./small.gguf", "local/small"),
        ("owner/repo/small.gguf", ""),
        ("gemma-3-4b-it", ""),
        ("/models/small.bin", ""),
    ],
)
def test_a_path_in_the_settings_is_a_local_model(setting: str, expected: str) -> None:
    assert local_id(setting) == expected
