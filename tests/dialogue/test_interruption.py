"""What interrupts an answer: on plain values, and on the timelines of spoken conversations."""

from __future__ import annotations

import pytest

from open_speech.dialogue.interruption import BACKCHANNELS, InterruptionRules, Overlap, Verdict, backchannels, decide, next_decision_s

HALF_A_SECOND = InterruptionRules(after_s=0.5)
THREE_WORDS = InterruptionRules(after_s=0.5, min_words=3)
LISTENING = InterruptionRules(backchannels=backchannels(["auto"], "en"))
GUARDED = InterruptionRules(echo_guard_s=3.0)


@pytest.mark.parametrize(
    ("rules", "overlap", "expected"),
    [
        # By default any speech interrupts, at its start.
        (InterruptionRules(), Overlap(0.0, 1.0), Verdict.INTERRUPT),
        # A length.
        (HALF_A_SECOND, Overlap(0.4, 2.0), Verdict.CONTINUE),
        (HALF_A_SECOND, Overlap(0.5, 2.0), Verdict.INTERRUPT),
        (HALF_A_SECOND, Overlap(0.4, 2.0, "Stop!", is_text_final=True, silent_s=0.0), Verdict.INTERRUPT),
        (HALF_A_SECOND, Overlap(0.4, 2.0, "", is_text_final=True, silent_s=0.0), Verdict.IGNORE),
        (HALF_A_SECOND, Overlap(0.4, 2.0, "", silent_s=0.5), Verdict.CONTINUE),
        (HALF_A_SECOND, Overlap(0.4, 2.0, "", silent_s=2.0), Verdict.IGNORE),
        # Words.
        (THREE_WORDS, Overlap(1.0, 2.0, "Stop it"), Verdict.CONTINUE),
        (THREE_WORDS, Overlap(1.5, 2.0, "Stop it, please"), Verdict.INTERRUPT),
        (THREE_WORDS, Overlap(0.4, 2.0, "Stop it, please"), Verdict.CONTINUE),
        (THREE_WORDS, Overlap(0.4, 2.0, "Stop it, please", is_text_final=True, silent_s=0.0), Verdict.INTERRUPT),
        (THREE_WORDS, Overlap(2.0, 2.0, "Stop it", is_text_final=True, silent_s=0.0), Verdict.IGNORE),
        (InterruptionRules(min_words=3), Overlap(1.5, 2.0, "请停一下"), Verdict.CONTINUE),
        (InterruptionRules(min_words=2), Overlap(1.5, 2.0, "请停一下"), Verdict.INTERRUPT),
        # Backchannels.
        (LISTENING, Overlap(0.3, 2.0), Verdict.CONTINUE),
        (LISTENING, Overlap(0.6, 2.0, "Mhm."), Verdict.CONTINUE),
        (LISTENING, Overlap(0.6, 2.0, "Mm-hmm.", is_text_final=True, silent_s=0.0), Verdict.IGNORE),
        (LISTENING, Overlap(0.6, 2.0, "Wait", silent_s=0.0), Verdict.INTERRUPT),
        (LISTENING, Overlap(0.6, 2.0, "Yeah, but"), Verdict.INTERRUPT),
        (LISTENING, Overlap(1.1, 2.0, "Yeah"), Verdict.INTERRUPT),
        (LISTENING, Overlap(0.6, 2.0, "", is_text_final=True, silent_s=0.0), Verdict.IGNORE),
        # An echo.
        (GUARDED, Overlap(2.0, 2.9, "Hello there"), Verdict.CONTINUE),
        (GUARDED, Overlap(2.0, 2.9, "Hello there", silent_s=0.0), Verdict.IGNORE),
        (GUARDED, Overlap(2.0, 3.0, "Hello there"), Verdict.INTERRUPT),
        (InterruptionRules(after_s=0.5, echo_guard_s=3.0), Overlap(2.0, 3.2), Verdict.CONTINUE),
        (InterruptionRules(after_s=0.5, echo_guard_s=3.0), Overlap(2.0, 3.5), Verdict.INTERRUPT),
    ],
)
def test_what_a_client_with_its_own_playback_experiences(rules: InterruptionRules, overlap: Overlap, expected: Verdict) -> None:
    assert decide(rules, overlap) is expected


@pytest.mark.parametrize(
    ("rules", "overlap", "expected"),
    [
        (InterruptionRules(), Overlap(0.0, 1.0), Verdict.PAUSE),
        (InterruptionRules(), Overlap(0.4, 1.0, "Stop"), Verdict.INTERRUPT),
        (InterruptionRules(), Overlap(0.4, 1.0, "", silent_s=1.9), Verdict.PAUSE),
        (InterruptionRules(), Overlap(0.4, 1.0, "", silent_s=2.0), Verdict.IGNORE),
        (InterruptionRules(), Overlap(0.4, 1.0, "", is_text_final=True, silent_s=0.1), Verdict.IGNORE),
        (InterruptionRules(), Overlap(0.4, 1.0, "Stop", is_text_final=True, silent_s=2.5), Verdict.INTERRUPT),
        (InterruptionRules(resume_after_s=1.0), Overlap(0.4, 1.0, "", silent_s=1.0), Verdict.IGNORE),
        (HALF_A_SECOND, Overlap(0.4, 2.0), Verdict.CONTINUE),
        (HALF_A_SECOND, Overlap(0.5, 2.0), Verdict.PAUSE),
        (LISTENING, Overlap(0.5, 2.0), Verdict.CONTINUE),
        (LISTENING, Overlap(1.1, 2.0), Verdict.PAUSE),
        (GUARDED, Overlap(0.5, 2.0, "Hello"), Verdict.CONTINUE),
    ],
)
def test_where_the_playback_can_be_paused_only_words_interrupt(rules: InterruptionRules, overlap: Overlap, expected: Verdict) -> None:
    assert decide(rules, overlap, can_pause=True) is expected


@pytest.mark.parametrize(
    ("rules", "overlap", "expected"),
    [
        (InterruptionRules(), Overlap(0.0, 1.0), None),
        (HALF_A_SECOND, Overlap(0.2, 1.0), 0.3),
        (HALF_A_SECOND, Overlap(0.2, 1.0, silent_s=0.5), 1.5),
        (LISTENING, Overlap(0.4, 1.0), 0.601),
        (GUARDED, Overlap(0.4, 1.0), 2.0),
    ],
)
def test_time_alone_changes_the_verdict_at_a_known_moment(rules: InterruptionRules, overlap: Overlap, expected: float | None) -> None:
    found = next_decision_s(rules, overlap)
    assert found == (None if expected is None else pytest.approx(expected))


def first(rules: InterruptionRules, words: dict[float, str], *, began: float, ended: float, played_since: float) -> tuple[float, Verdict]:
    """Ask every 10 ms what to do, with the words that are known at each time; give the time of the first verdict that ends the overlap."""
    for step in range(2000):
        at = began + step / 100
        text = next((text for known_at, text in sorted(words.items(), reverse=True) if known_at <= at), "")
        silent_s = at - ended if at >= ended else None
        verdict = decide(rules, Overlap(min(at, ended) - began, at - played_since, text, silent_s=silent_s))
        if verdict in (Verdict.INTERRUPT, Verdict.IGNORE):
            return round(at, 2), verdict
    raise AssertionError("never decided")


@pytest.mark.parametrize(
    ("rules", "words", "ended", "expected"),
    [
        (InterruptionRules(after_s=0.5), {6.2: "Stop!"}, 6.0, 5.5),
        (InterruptionRules(after_s=0.5, min_words=3), {6.5: "Stop it", 7.5: "Stop it now"}, 8.0, 7.5),
        (InterruptionRules(after_s=2.0), {5.9: "Stop", 6.4: "Stop this"}, 7.5, 7.0),
    ],
)
def test_an_answer_begun_at_3_5_s_is_interrupted_by_speech_from_5_s_on(
    rules: InterruptionRules, words: dict[float, str], ended: float, expected: float
) -> None:
    assert first(rules, words, began=5.0, ended=ended, played_since=3.5) == (expected, Verdict.INTERRUPT)


def test_a_noise_of_300_ms_is_over_without_an_interruption() -> None:
    assert first(HALF_A_SECOND, {}, began=3.0, ended=3.3, played_since=1.0) == (5.3, Verdict.IGNORE)


def test_the_lists_of_backchannels() -> None:
    assert backchannels([]) == frozenset()
    assert backchannels(["Genau so!", "auto"], "de-AT") == {
        "genau so",
        "mhm",
        "hm",
        "aha",
        "ja",
        "jaja",
        "ach so",
        "okay",
        "ok",
        "genau",
        "klar",
    }
    assert backchannels(["auto"], "tlh") == frozenset()
    everywhere = backchannels(["auto"])
    assert {"uh huh", "嗯", "daccord", "ठ क ह"} - everywhere == {"ठ क ह"}
    assert all(len(phrases) <= 20 for phrases in BACKCHANNELS.values())
