"""Which turn detector the settings choose: the model, the timer, or a plugin."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from open_speech.audio import silence
from open_speech.config import Settings, SettingsError
from open_speech.plugins.turn_detectors import TURN_GROUP
from open_speech.recognition.live.turn_decider import TurnDecider
from open_speech.weights import Store
from runners import catalog
from runners.wiring.turn_detection import turn_decider
from tests.plugin_packages import install
from tests.waiting import PATIENCE_S

QUIET = silence(1, 16_000)


def decider(models: Path, name: str = "auto") -> TurnDecider:
    return turn_decider(Settings(os_turn_detector=name), Store(models, offline=True))


def decided(decider: TurnDecider) -> bool | None:
    return asyncio.run(decider.is_complete(QUIET))


def test_the_row_of_the_model_is_complete_and_no_request_can_name_it() -> None:
    entry = catalog.turn_detector()
    (file,) = entry.files
    assert (entry.id, entry.licence, file.size) == ("smart-turn-v3.2", "BSD-2-Clause", 8_679_182)
    assert file.sha256 == "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"
    assert entry.id not in {model.id for model in catalog.models()}


def test_without_its_weights_auto_is_the_timer(tmp_path: Path) -> None:
    found = decider(tmp_path)
    assert (found.name, found.is_semantic, decided(found)) == ("timer", False, None)


def test_the_timer_can_be_chosen(tmp_path: Path) -> None:
    assert decider(tmp_path, "timer").name == "timer"


def test_a_model_that_is_chosen_and_cannot_be_downloaded_decides_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = decider(tmp_path, "smart-turn")
    assert (found.name, found.is_semantic) == ("smart-turn", True)
    with caplog.at_level(logging.WARNING):
        assert decided(found) is None
    assert "the turn detector smart-turn has failed, and the silence decides instead: WeightsUnavailable" in caplog.text


@pytest.mark.weights
def test_with_its_weights_auto_is_the_model(weights_root: Path) -> None:
    Store(weights_root).pull(catalog.turn_detector())
    found = decider(weights_root)
    assert found.name == "smart-turn"

    async def once_opened() -> bool | None:
        """The first question may be late: onnxruntime is imported for it."""
        found.prepare()
        for _ in range(100):
            if (answer := await found.is_complete(QUIET)) is not None:
                return answer
            await asyncio.sleep(0.1)
        return None

    assert asyncio.run(asyncio.wait_for(once_opened(), PATIENCE_S)) in (True, False)


def test_a_plugin_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    code = "class Hasty:\n    def is_complete(self, audio):\n        return True\n"
    install(tmp_path, "hasty-turns", {"hasty": "hasty_turns:Hasty"}, {"hasty_turns.py": code}, group=TURN_GROUP)
    found = decider(tmp_path, "hasty")
    assert (found.name, decided(found)) == ("hasty", True)


def test_a_plugin_that_cannot_be_imported_is_logged_and_the_timer_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "no-turns", {"no": "no_turns:No"}, {"no_turns.py": "import no_such_engine"}, group=TURN_GROUP)
    with caplog.at_level(logging.WARNING):
        assert decider(tmp_path, "no").name == "timer"
    assert "plugin no of no-turns 1.0: import failed" in caplog.text


def test_a_detector_that_no_package_has_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="OS_TURN_DETECTOR='smart': no installed package .* there are auto, timer, smart-turn"):
        decider(tmp_path, "smart")
