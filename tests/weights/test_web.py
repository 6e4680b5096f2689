"""Downloads that break, resume, lie, or find no room."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from open_speech.errors import WeightsCorrupt, WeightsUnavailable
from open_speech.model_files import WeightFile
from open_speech.weights.progress import Meter, Progress
from open_speech.weights.reach import Reach, SourceFailed
from open_speech.weights.web import FileUnavailable, Web

CONTENT = bytes(range(256)) * 4096


@pytest.fixture
def download(shelf, tmp_path: Path, hashed) -> Callable[..., WeightFile]:
    shelf.files["/f"] = CONTENT

    def run(expected: WeightFile | None = None, tell: Callable[[Progress], None] = lambda progress: None) -> WeightFile:
        expected = expected or WeightFile("f", hashed(CONTENT), len(CONTENT))
        with Web(Reach(deadline_s=2), pause_s=0.01) as web:
            return web.download(f"{shelf.url}/f", tmp_path / "f", expected, Meter("m", tell, 0.0))

    return run


def test_a_download_says_what_it_brought(download, tmp_path: Path, hashed) -> None:
    assert download(WeightFile("f")) == WeightFile("f", hashed(CONTENT), len(CONTENT))
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert not (tmp_path / "f.part").exists()


def test_a_broken_connection_is_taken_up_where_it_broke(download, shelf, tmp_path: Path) -> None:
    shelf.cuts["/f"] = [300_000, 200_000]
    download()
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert shelf.asked == ["GET /f", "GET /f bytes=300000-", "GET /f bytes=500000-"]


def test_the_bytes_of_an_earlier_process_are_kept(download, shelf, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT[:1000])
    download()
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert shelf.asked == ["GET /f bytes=1000-"]


def test_a_part_that_has_all_bytes_needs_no_download(download, shelf, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT)
    download()
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert shelf.asked == []


def test_a_part_with_other_bytes_costs_one_more_try_from_the_start(download, shelf, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    download()
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert shelf.asked == ["GET /f bytes=1000-", "GET /f"]


def test_a_part_longer_than_the_file_is_thrown_away(download, shelf, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT + b"more")
    download()
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_the_file_again_from_the_start(download, shelf, tmp_path: Path) -> None:
    shelf.ranges = False
    shelf.cuts["/f"] = [1000]
    download()
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_without_a_known_hash_nothing_is_glued_together(download, shelf, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    download(WeightFile("f"))
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert shelf.asked == ["GET /f"]


def test_an_endlessly_breaking_connection_ends_as_a_failed_source_and_keeps_its_bytes(download, shelf, tmp_path: Path) -> None:
    shelf.cuts["/f"] = [1000, 0, 0, 0]
    with pytest.raises(SourceFailed):
        download()
    assert (tmp_path / "f.part").read_bytes() == CONTENT[:1000]
    assert not (tmp_path / "f").exists()


def test_wrong_content_is_deleted_and_both_hashes_are_named(download, shelf, tmp_path: Path, hashed) -> None:
    wrong = b"y" * len(CONTENT)
    shelf.files["/f"] = wrong
    with pytest.raises(WeightsCorrupt) as raised:
        download()
    assert hashed(wrong) in raised.value.message and hashed(CONTENT) in raised.value.message
    assert list(tmp_path.iterdir()) == []


def test_more_bytes_than_expected_are_refused_while_they_come(download, shelf, tmp_path: Path) -> None:
    with pytest.raises(WeightsCorrupt, match="more than the expected 10 bytes"):
        download(WeightFile("f", None, 10))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_the_part_is_removed(download, tmp_path: Path) -> None:
    (tmp_path / "f.part").symlink_to("/dev/full")
    with pytest.raises(WeightsUnavailable, match="disk of the models folder is full"):
        download()
    assert list(tmp_path.iterdir()) == []


def test_a_download_larger_than_the_disk_is_refused_before_its_first_byte(download, shelf, tmp_path: Path) -> None:
    shelf.headers["/f"] = {"Content-Length": str(1 << 60)}
    with pytest.raises(WeightsUnavailable, match="MiB are needed"):
        download(WeightFile("f"))


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_file_that_is_not_there_is_told_apart_at_once(download, shelf, status: int) -> None:
    shelf.statuses["/f"] = status
    with pytest.raises(FileUnavailable, match=str(status)):
        download()
    assert len(shelf.asked) == 1


def test_a_busy_server_is_asked_again(download, shelf) -> None:
    shelf.statuses["/f"] = 503
    with pytest.raises(SourceFailed, match="503"):
        download()
    assert len(shelf.asked) == 4


def test_a_redirect_does_not_carry_the_token_to_another_host(shelf, tmp_path: Path) -> None:
    shelf.files["/here"] = b""
    shelf.statuses["/here"] = 302
    shelf.headers["/here"] = {"Location": shelf.url.replace("127.0.0.1", "localhost") + "/there"}
    shelf.files["/there"] = b"content"
    with Web(Reach(deadline_s=2), pause_s=0.01) as web:
        web.download(f"{shelf.url}/here", tmp_path / "f", WeightFile("f"), Meter("m", lambda p: None), {"Authorization": "Bearer secret"})
    assert [headers.get("authorization") for headers in shelf.seen_headers] == ["Bearer secret", None]


def test_a_redirect_to_a_dead_host_is_not_followed_a_second_time(shelf, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dead:
        port = dead.getsockname()[1]
    shelf.statuses["/here"] = 302
    shelf.headers["/here"] = {"Location": f"http://127.0.0.1:{port}/there"}
    with Web(Reach(deadline_s=2), pause_s=0.01) as web:
        for _ in range(3):
            with pytest.raises(SourceFailed):
                web.download(f"{shelf.url}/here", tmp_path / "f", WeightFile("f"), Meter("m", lambda p: None))
    assert len(shelf.asked) == 1


def test_an_exception_of_the_listener_ends_the_download_and_keeps_its_bytes(download, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def tell(progress: Progress) -> None:
        if progress.done_bytes > 100_000:
            raise Enough

    with pytest.raises(Enough):
        download(tell=tell)
    assert 0 < (tmp_path / "f.part").stat().st_size < len(CONTENT)
    download()
    assert (tmp_path / "f").read_bytes() == CONTENT
