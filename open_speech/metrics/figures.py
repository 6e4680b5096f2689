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

TOKEN_RATES = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0, 500.0)
"""Buckets for the tokens per second of one answer; people speak and listen at 3 to 5."""


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
        self.turn_decisions = Histogram(
            "open_speech_turn_decision_seconds",
            "Decisions whether a turn is complete, by outcome; after `late` and `failed`, the length of the silence decides.",
            ("outcome",),
            buckets=WAITS_S,
            registry=registry,
        )
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
        self.tokens_in = Counter(
            "open_speech_llm_tokens_in", "Tokens of the conversations that local language models have answered.", ("model",),
            registry=registry,
        )  # fmt: skip
        self.tokens_out = Counter(
            "open_speech_llm_tokens_out", "Tokens that local language models have generated.", ("model",), registry=registry
        )
        self.first_token_times = Histogram(
            "open_speech_llm_first_token_seconds", "Time until the first token of a local language model's answer.", ("model",),
            buckets=WAITS_S, registry=registry,
        )  # fmt: skip
        self.token_rates = Histogram(
            "open_speech_llm_tokens_per_second", "Tokens per second of an answer of a local language model, after the first one.",
            ("model",), buckets=TOKEN_RATES, registry=registry,
        )  # fmt: skip
        self.early_answers = Counter(
            "open_speech_early_answers",
            "Answers that were begun in a pause of the user: started, and then released at the end of the turn, or dropped.",
            ("outcome",),
            registry=registry,
        )
        self.dialogues = Histogram(
            "open_speech_dialogue_duration_seconds", "Duration of dialogue turns and of generated texts.", ("kind",), buckets=WORK_S,
            registry=registry,
        )  # fmt: skip
        self.dialogue_errors = Counter(
            "open_speech_dialogue_errors", "Dialogue turns and generated texts that failed.", ("kind",), registry=registry
        )
        self.stages = Histogram(
            "open_speech_dialogue_stage_seconds",
            "Stages of a dialogue turn: stt (the transcription), llm (the language model), tts (from its first token to the first audio).",
            ("stage",),
            buckets=WAITS_S,
            registry=registry,
        )
        self.stage_errors = Counter(
            "open_speech_dialogue_stage_errors", "Stages of dialogue turns that failed; after a failed tts, the text is sent.", ("stage",),
            registry=registry,
        )  # fmt: skip
