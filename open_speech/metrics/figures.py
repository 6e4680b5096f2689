"""Every counter, gauge and histogram of one process: its name, its labels, its buckets.

No label contains text that a client sent: APIs (the label `door`), routes, models and error codes are from fixed lists (labels.py).
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

WAITS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Buckets for latencies, in seconds."""
WORK_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Buckets for the duration of whole requests, in seconds: a long file takes half an hour."""
SESSION_S = (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0)
FACTORS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0)
"""Buckets for seconds of processing per second of audio; above 1, processing is slower than real time."""


class Figures:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "open_speech_http_requests", "HTTP requests by matched route.", ("door", "route", "method", "status"),
            registry=registry,
        )  # fmt: skip
        self.durations = Histogram(
            "open_speech_http_request_duration_seconds",
            "Time from a request's headers to the end of its response.",
            ("door", "route"),
            buckets=WORK_S,
            registry=registry,
        )
        self.first_bytes = Histogram(
            "open_speech_http_first_byte_seconds",
            "Time from a request's headers to the first byte of the response body.",
            ("door", "route"),
            buckets=WAITS_S,
            registry=registry,
        )
        self.under_way = Gauge("open_speech_http_requests_under_way", "HTTP requests in progress.", ("door",), registry=registry)
        self.errors = Counter(
            "open_speech_errors", "Errors sent to clients, by code; a session may have many.", ("door", "code"),
            registry=registry,
        )  # fmt: skip
        self.sessions = Gauge("open_speech_sessions", "Open connections of a live API.", ("door",), registry=registry)
        self.sessions_begun = Counter("open_speech_sessions_begun", "Connections opened at a live API.", ("door",), registry=registry)
        self.session_times = Histogram(
            "open_speech_session_duration_seconds", "Duration of connections of a live API.", ("door",), buckets=SESSION_S,
            registry=registry,
        )  # fmt: skip
        self.fallbacks = Counter(
            "open_speech_fallbacks", "Requests that moved on to a fallback model, by the model that failed and its error.",
            ("task", "model", "fallback", "code"),
            registry=registry,
        )  # fmt: skip
        self.audio_in = Counter("open_speech_audio_in_seconds", "Duration of transcribed audio.", ("model",), registry=registry)
        self.audio_out = Counter("open_speech_audio_out_seconds", "Duration of synthesized audio.", ("model",), registry=registry)
        self.characters = Counter(
            "open_speech_characters", "Characters of synthesized text, tags not counted.", ("model",), registry=registry
        )
        self.factors = Histogram(
            "open_speech_real_time_factor",
            "Processing time of a transcription, live pass or synthesis per second of audio, without waiting for slow clients.",
            ("task", "model"),
            buckets=FACTORS,
            registry=registry,
        )
        self.first_audio_times = Histogram(
            "open_speech_first_sound_seconds", "Time until the first audio of a synthesis.", ("model",), buckets=WAITS_S,
            registry=registry,
        )  # fmt: skip
