"""The application of tests/tones_app.py."""

from tests.tones_app import client, clip, engine, settings, spoken

__all__ = ["client", "clip", "engine", "settings", "spoken"]
