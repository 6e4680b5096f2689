"""A file is put in place whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from open_speech.errors import WeightsCorrupt, WeightsUnavailable
from open_speech.model_files import WeightFile
from open_speech.weights.part_file import Part, md5_of, require_space, sha256_of, write_file
from open_speech.weights.progress import Meter


@pytest.fixture
def meter() -> Meter:
    return Meter("m", lambda progress: None)


def test_a_stream_lands_with_its_hash_and_size(tmp_path: Path, meter: Meter, hashed) -> None:
    target = tmp_path / "deep" / "f"
    assert write_file([b"ab", b"", b"c"], target, WeightFile("f"), meter) == WeightFile("f", hashed(b"abc"), 3)
    assert target.read_bytes() == b"abc" and sha256_of(target) == hashed(b"abc")


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path, meter: Meter) -> None:
    (tmp_path / "f").write_bytes(b"old")
    with Part(tmp_path / "f", WeightFile("f")) as part:
        part.write(b"new")
        assert (tmp_path / "f").read_bytes() == b"old"
        part.finish()
    assert (tmp_path / "f").read_bytes() == b"new"


def test_too_few_bytes_are_corrupt_even_without_a_hash(tmp_path: Path, meter: Meter) -> None:
    with pytest.raises(WeightsCorrupt, match="3 bytes long, expected 4"):
        write_file([b"abc"], tmp_path / "f", WeightFile("f", None, 4), meter)
    assert list(tmp_path.iterdir()) == []


def test_other_bytes_are_corrupt_by_their_md5_too(tmp_path: Path, meter: Meter, hashed) -> None:
    md5 = hashlib.md5(b"abc", usedforsecurity=False).hexdigest()
    assert write_file([b"a", b"bc"], tmp_path / "f", WeightFile("f", md5=md5), meter) == WeightFile("f", hashed(b"abc"), 3)
    assert md5_of(tmp_path / "f") == md5
    with pytest.raises(WeightsCorrupt, match=f"MD5 is .*, expected {md5}"):
        write_file([b"xyz"], tmp_path / "g", WeightFile("g", None, 3, md5), meter)
    assert not (tmp_path / "g").exists()


def test_an_interrupted_file_is_resumed_and_checked_by_its_md5(tmp_path: Path, meter: Meter, hashed) -> None:
    file = WeightFile("f", md5=hashlib.md5(b"abcd", usedforsecurity=False).hexdigest())
    with Part(tmp_path / "f", file) as part:
        part.write(b"ab")
    with Part(tmp_path / "f", file, resume=True) as part:
        part.write(b"cd")
        assert part.finish().sha256 == hashed(b"abcd")


def test_a_full_disk_in_the_middle_is_named(tmp_path: Path, meter: Meter) -> None:
    (tmp_path / "f.part").symlink_to("/dev/full")
    with pytest.raises(WeightsUnavailable, match="disk of the models folder is full"):
        write_file([b"abc"], tmp_path / "f", WeightFile("f"), meter)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_file_is_named(tmp_path: Path, meter: Meter) -> None:
    (tmp_path / "dir").write_bytes(b"a file where a folder should be")
    with pytest.raises(WeightsUnavailable, match="cannot be written"):
        write_file([b"abc"], tmp_path / "dir" / "f", WeightFile("f"), meter)


def test_space_is_asked_of_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    require_space(tmp_path / "a" / "b", 1)
    with pytest.raises(WeightsUnavailable, match="MiB are needed"):
        require_space(tmp_path / "a" / "b", 1 << 60)
