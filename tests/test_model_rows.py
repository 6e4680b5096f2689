from __future__ import annotations

from pathlib import Path

import pytest

from open_speech.model_rows import read_models


def test_a_slip_of_the_pen_in_a_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    row = '[[model]]\nid = "x"\nbackend = "kokoro"\ntask = "text-to-speech"\nlicence = "MIT"\nlanguages = []\n'
    path.write_text(row)
    assert read_models(path)[0].id == "x"
    path.write_text(row + "sample_rat = 3\n")
    with pytest.raises(TypeError, match="sample_rat"):
        read_models(path)
    path.write_text(row + 'source = [{ hubb = "a/b" }]\n')
    with pytest.raises(ValueError, match="hubb"):
        read_models(path)
    path.write_text(row.replace("text-to-speech", "singing"))
    with pytest.raises(ValueError, match="singing"):
        read_models(path)
