"""Composition of turn detection: the setting OS_TURN_DETECTOR -> the detector that the live APIs ask."""

from __future__ import annotations

import logging

from open_speech.config import Settings, SettingsError
from open_speech.config.live import AUTO_DETECTOR as AUTO
from open_speech.config.live import SMART_TURN as SMART_TURN
from open_speech.metrics.meter import Meter
from open_speech.plugins import PluginReport, turn_detectors
from open_speech.recognition.live.turn_decider import TIMER, TurnDecider, TurnDetector
from open_speech.recognition.smart_turn import SmartTurn
from open_speech.weights import Store
from runners import catalog

log = logging.getLogger("open_speech.turns")


def turn_decider(settings: Settings, store: Store, meter: Meter | None = None) -> TurnDecider:
    """Build the decider of the detector in the settings. It opens the detector when a session first needs it.

    `auto` is smart-turn if its weights are downloaded now, and else the timer. `smart-turn` downloads them when they are first needed. A
    plugin that cannot be used is logged, and the timer takes its place. Raises SettingsError if no installed package has the detector.
    """
    name = chosen(settings, store)
    if name == SMART_TURN:
        (file,) = catalog.turn_detector().files
        return TurnDecider(name, lambda: SmartTurn(store.pull(catalog.turn_detector()) / file.path), meter=meter)
    if name == TIMER:
        return TurnDecider(meter=meter)
    found = plugin(name)
    if isinstance(found, PluginReport):
        log.warning("%s; turns end after a silence instead", found)
        return TurnDecider(meter=meter)
    return TurnDecider(name, found, meter=meter)


def chosen(settings: Settings, store: Store) -> str:
    """Return the name of the detector that the settings choose on this machine."""
    if settings.os_turn_detector != AUTO:
        return settings.os_turn_detector
    return SMART_TURN if store.is_complete(catalog.turn_detector()) else TIMER


def plugin(name: str) -> turn_detectors.Open[TurnDetector] | PluginReport:
    """Return the function of an installed package that opens its detector, or why it cannot be used.

    Raises SettingsError if no installed package has a detector of this name.
    """
    found = turn_detectors.find(name)
    if found is None:
        names = ", ".join((AUTO, TIMER, SMART_TURN, *turn_detectors.names()))
        raise SettingsError(f"OS_TURN_DETECTOR={name!r}: no installed package has this turn detector; there are {names}.")
    return found
