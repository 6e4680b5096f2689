"""Open Speech: one server for speech, many doors, one engine."""

__version__ = "0.1.0"
