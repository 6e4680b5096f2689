"""Where pip would look, read as pip reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from open_speech.weights.pip_config import PipConfig, default_index, pip_config


def test_without_any_configuration_it_is_pips_default() -> None:
    assert pip_config({}, ()) == PipConfig((default_index(),), (), None)


@pytest.mark.parametrize("name", ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_a_variable_names_the_index(name: str) -> None:
    assert pip_config({name: "https://mirror.test/simple"}, ()).indexes == ("https://mirror.test/simple",)


def test_extra_indexes_come_after_and_once() -> None:
    environ = {"PIP_EXTRA_INDEX_URL": "https://a.test https://b.test", "UV_INDEX": "named=https://c.test https://a.test/?x=1"}
    assert pip_config(environ, ()).indexes == (default_index(), "https://a.test", "https://b.test", "https://c.test", "https://a.test/?x=1")


def test_configuration_files_are_read_and_later_ones_win(tmp_path: Path) -> None:
    first, second = tmp_path / "a.conf", tmp_path / "b.conf"
    first.write_text(
        "[global]\nindex-url = https://one.test/\ncert = /one.pem\nextra-index-url =\n    https://x.test\n    https://y.test\n"
    )
    second.write_text("[global]\nindex-url = https://user:p%40ss@two.test/\n[install]\nfind-links = file:///wheels /more https://no.test\n")
    found = pip_config({}, (first, second, tmp_path / "absent.conf"))
    assert found.indexes == ("https://user:p%40ss@two.test/", "https://x.test", "https://y.test")
    assert found.find_links == (Path("/wheels"), Path("/more"))
    assert found.certificate == Path("/one.pem")


def test_a_variable_wins_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pip.conf"
    path.write_text("[global]\nindex-url = https://file.test\ncert = /file.pem\n")
    found = pip_config({"PIP_INDEX_URL": "https://env.test", "PIP_CERT": "/env.pem"}, (path,))
    assert found.indexes == ("https://env.test",) and found.certificate == Path("/env.pem")


def test_no_index_leaves_only_folders() -> None:
    assert pip_config({"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}, ()) == PipConfig((), (Path("/wheels"),), None)


def test_a_broken_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_bytes(b"no section\xff")
    assert pip_config({}, (tmp_path / "pip.conf",)) == pip_config({}, ())


def test_pips_own_places_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "pip.conf").write_text("[global]\nindex-url = https://home.test\n")
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "none")}
    assert "https://home.test" in pip_config(environ).indexes
    assert "https://home.test" not in pip_config(environ | {"PIP_CONFIG_FILE": "/dev/null"}).indexes
