from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from open_speech.security.private_files import make_private, make_private_folder, open_private, settle, sync

THEIRS = 65534
"""Another user than root."""


@pytest.fixture(autouse=True)
def everything_is_for_everybody() -> Iterator[None]:
    """The umask of a careless login."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_private_folder_is_for_its_user_alone_and_those_above_it_are_as_ever(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "above" / "below")
    assert [mode(tmp_path / "above"), mode(tmp_path / "above" / "below")] == [0o777, 0o700]
    (tmp_path / "above").chmod(0o750)
    make_private_folder(tmp_path / "above")
    assert mode(tmp_path / "above") == 0o750


def test_a_private_file_is_for_its_user_alone_and_is_written_as_its_mode_says(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for how, content in (("wb", b"one"), ("ab", b"two"), ("wb", b"three")):
        with open_private(file, how) as opened:  # type: ignore[arg-type]
            opened.write(content)
            settle(opened)
        sync(tmp_path)
    assert file.read_bytes() == b"three"
    with open_private(file, "ab") as opened:
        opened.write(b"four")
    assert file.read_bytes() == b"threefour"
    with pytest.raises(FileExistsError):
        open_private(file, "xb")
    assert mode(file) == 0o600


def test_what_others_could_read_they_cannot_any_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    inner = tmp_path / "voices" / "voice_1"
    inner.mkdir(parents=True)
    (inner / "sound.wav").write_bytes(b"x")
    (inner / "run").touch(0o755)
    (tmp_path / "elsewhere").touch(0o666)
    (inner / "link").symlink_to(tmp_path / "elsewhere")
    assert make_private(tmp_path / "voices", tmp_path / "nowhere") == 4
    assert [mode(path) for path in (tmp_path / "voices", inner, inner / "sound.wav", inner / "run")] == [0o700, 0o700, 0o600, 0o700]
    assert mode(tmp_path / "elsewhere") == 0o666
    assert "removed the access of other users to 4 files and folders" in caplog.text
    caplog.clear()
    assert make_private(tmp_path / "voices") == 0
    assert caplog.text == ""


def test_a_place_that_is_a_link_is_followed_and_one_file_is_a_place_too(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "file").touch()
    (tmp_path / "place").symlink_to("disk")
    assert make_private(tmp_path / "place") == 2
    (tmp_path / "key").touch()
    assert make_private(tmp_path / "key") == 1
    assert [mode(tmp_path / name) for name in ("disk", "disk/file", "key")] == [0o700, 0o600, 0o600]


def test_what_belongs_to_somebody_else_is_left_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a file to somebody")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o777)
        (folder / "theirs").touch()
        (tmp_path / "hidden").mkdir(mode=0o700)
        os.seteuid(THEIRS)
        try:
            assert make_private(folder, tmp_path / "hidden" / "below") == 0
        finally:
            os.seteuid(0)
        assert mode(folder / "theirs") == 0o666
    assert "other users may read 2 files and folders, and the server may not change their permissions" in caplog.text
