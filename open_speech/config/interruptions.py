"""Settings: how the user and the server take turns in spoken conversations."""

from __future__ import annotations

from pydantic import BaseModel, Field

from open_speech.config.types import Names


class InterruptionSettings(BaseModel):
    """How the user and the server take turns in spoken conversations."""

    os_early_answers: bool = Field(
        True,
        description=(
            "Begin the answer of a spoken conversation in the pause that may end the user's turn, and hold it until the turn ends."
            " The first audio is sent earlier by most of the silence that ends a turn. If the user goes on, the work is lost:"
            " up to three requests to the language model per turn. Turn it off if each of them costs money."
        ),
    )
    os_interrupt_after_ms: int = Field(
        0, ge=0, le=10_000, description="Speech that interrupts an answer, in milliseconds. 0: any speech does, at its start."
    )
    os_interrupt_min_words: int = Field(
        0,
        ge=0,
        le=20,
        description="Words that must be recognized before speech interrupts an answer. 0: speech interrupts without a recognized word.",
    )
    os_backchannels: Names = Field(
        (),
        description=(
            "Words that do not interrupt an answer when they are all that the user says, within one second, separated by commas."
            ' `auto` stands for a list of the session\'s language ("mhm", "yeah"). Empty: every word interrupts.'
        ),
    )
    os_echo_guard_ms: int = Field(
        0,
        ge=0,
        le=30_000,
        description=(
            "Time from the start of an answer in which speech does not interrupt it, in milliseconds."
            " Set it to 3000 for open loudspeakers, whose echo would interrupt the answer until the echo canceller has adapted."
        ),
    )
    os_false_interruption_ms: int = Field(
        2000,
        ge=100,
        le=30_000,
        description=(
            "Time after the end of speech without a recognized word until an answer that was paused goes on, in milliseconds."
            " Answers are paused only where the server controls the playback."
        ),
    )
