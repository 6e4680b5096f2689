"""Whatever a client does, in whatever order reports come: a session never raises, and every promise of the protocol is kept.

A small driver performs the effects in its own time; hypothesis chooses what happens next.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from open_speech.api.realtime.effects import (
    AppendAudio,
    Begin,
    Clear,
    Commit,
    ConfigureInput,
    Delta,
    Effect,
    NotTranscribed,
    PauseOutput,
    Played,
    Release,
    Respond,
    ResponseAudio,
    ResponseDone,
    ResponseFailed,
    ResponseText,
    ResponseTool,
    ResumeOutput,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    Stop,
    TextReady,
    Transcribed,
    TranscribeItem,
)
from open_speech.api.realtime.session import Limits
from open_speech.api.realtime.state import TurnTaking
from open_speech.dialogue.interruption import InterruptionRules
from open_speech.errors import BackendFailed

TRANSCRIPTION = "conversation.item.input_audio_transcription"

scalars = st.one_of(st.none(), st.booleans(), st.integers(-5, 5000), st.floats(0, 2), st.sampled_from(["", "a", "auto", "none", "item_5"]))
junk = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)), max_leaves=6
)
ids = st.sampled_from(["a", "b", "c", "root", "item_5", "item_9", "item_14"])
vad = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"type": st.just("server_vad")},
        optional={"create_response": st.booleans(), "interrupt_response": st.booleans(), "idle_timeout_ms": st.sampled_from([None, 1000])},
    ),
    st.fixed_dictionaries({"type": st.just("semantic_vad"), "eagerness": st.sampled_from(["low", "high", "auto"])}),
    junk,
)
sessions = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["realtime", "transcription", "other"]),
        "instructions": st.text(max_size=5),
        "output_modalities": st.sampled_from([["audio"], ["text"]]),
        "audio": st.fixed_dictionaries(
            {},
            optional={
                "input": st.fixed_dictionaries(
                    {},
                    optional={
                        "turn_detection": vad,
                        "transcription": st.sampled_from([None, {}, {"model": "ears"}, {"model": "?"}]),
                        "format": st.sampled_from([{"type": "audio/pcm"}, {"type": "audio/pcmu"}, "pcm16"]),
                    },
                ),
                "output": st.fixed_dictionaries({}, optional={"voice": st.sampled_from(["ann", "bob", "nobody"]), "speed": scalars}),
            },
        ),
        "tools": st.sampled_from([[], [{"type": "function", "name": "f"}], [{}], "f"]),
    },
)
contents = st.lists(
    st.sampled_from(
        [
            {"type": "input_text", "text": "Hello."},
            {"type": "input_audio", "audio": base64.b64encode(bytes(48)).decode()},
            {"type": "output_text", "text": "Hi."},
            {"type": "item_reference"},
        ]
    ),
    max_size=2,
)
items = st.one_of(
    junk,
    st.fixed_dictionaries(
        {"type": st.just("message"), "role": st.sampled_from(["user", "system", "assistant"]), "content": contents}, optional={"id": ids}
    ),
    st.fixed_dictionaries({"type": st.just("function_call_output"), "call_id": st.just("c"), "output": st.just("42")}),
    st.fixed_dictionaries({"type": st.just("item_reference"), "id": ids}),
)
responses = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "conversation": st.sampled_from(["auto", "none"]),
            "input": st.one_of(junk, st.lists(items, max_size=2)),
            "output_modalities": st.sampled_from([["audio"], ["text"]]),
            "metadata": st.one_of(junk, st.just({"a": "b"})),
            "instructions": st.sampled_from(["Read it aloud exactly as written.", "Be brief."]),
        },
    ),
)


def event(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind), **fields}, optional={"event_id": st.sampled_from(["mine", 3])})


events = st.one_of(
    event(
        "input_audio_buffer.append", audio=st.sampled_from([100, 4800, 48_000, 480_000]).map(lambda n: base64.b64encode(bytes(n)).decode())
    ),
    event("input_audio_buffer.append", audio=junk),
    event("input_audio_buffer.commit"),
    event("input_audio_buffer.clear"),
    event("output_audio_buffer.clear"),
    event("session.update", session=sessions),
    event("session.update", session=junk),
    event("conversation.item.create", item=items),
    event("conversation.item.create", item=items, previous_item_id=ids),
    event("conversation.item.retrieve", item_id=ids),
    event("conversation.item.delete", item_id=ids),
    event("conversation.item.truncate", item_id=ids, content_index=st.integers(0, 1), audio_end_ms=st.sampled_from([0, 50, 9999])),
    event("response.create", response=responses),
    event("response.cancel"),
    event("response.cancel", response_id=st.sampled_from(["resp_7", "resp_12"])),
    st.dictionaries(st.sampled_from(["type", "session", "item", "audio"]), junk),
)
deeds = st.sampled_from(
    [
        "sound",
        "speak",
        "speak",
        "pause",
        "pause",
        "resume",
        "stop",
        "stop",
        "work",
        "work",
        "fail",
        "wait",
        "ask",
        "aside",
        "cancel",
        "steal",
        "play",
    ]
)
turn_takings = st.builds(
    TurnTaking,
    st.booleans(),
    st.sampled_from(
        [InterruptionRules(), InterruptionRules(after_s=0.5), InterruptionRules(min_words=3), InterruptionRules(echo_guard_s=1)]
    ),
    st.sampled_from([(), ("so it is", "auto")]),
    st.booleans(),
)
steps = st.lists(st.one_of(deeds, deeds, events), min_size=5, max_size=50)
TEXT = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}
SAYINGS: dict[str, list[dict[str, Any]]] = {
    "sound": [{"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(48_000)).decode()}],
    "ask": [{"type": "conversation.item.create", "item": TEXT}, {"type": "response.create"}],
    "aside": [{"type": "response.create", "response": {"conversation": "none", "input": [TEXT]}}],
    "cancel": [{"type": "response.cancel"}],
}


class Driver:
    """Performs effects as the real one does, without any sound: what it owes is worked off one by one."""

    def __init__(self, talk: Any) -> None:
        self.talk = talk
        self.ms = 0.0
        self.per_ms = 48.0
        self.telling = True
        self.speaking = False
        self.owed: list[Commit | TranscribeItem | Respond] = []
        self.begun: str | None = None
        self.paused = False
        self.said: dict[str, str] = {}
        """The deltas of each item, joined; they may be held."""
        self.held: set[str] = set()
        """Responses that are held, complete or not."""
        self.silenced: set[str] = set()
        """Responses whose playback is paused."""

    def perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case ConfigureInput(form, turns):
                    self.per_ms, self.telling = form.rate * form.width / 1000, turns is not None
                    self.speaking = self.speaking and self.telling
                case AppendAudio(data):
                    self.ms += len(data) / self.per_ms
                case Begin(item_id, start_ms):
                    assert start_ms <= self.ms + 1
                    self.begun = item_id
                case Commit(item_id, start_ms, end_ms, transcription):
                    assert 0 <= start_ms <= end_ms <= self.ms + 1
                    self.begun = None
                    self.owed += [effect] if transcription is not None else []
                case Clear():
                    self.speaking, self.begun = False, None
                case _:
                    self.respond(effect)

    def respond(self, effect: Effect) -> None:
        match effect:
            case TranscribeItem() | Respond():
                self.owed.append(effect)
                if isinstance(effect, Respond) and effect.is_held:
                    assert not self.held, "at most one answer is held"
                    self.held.add(effect.response_id)
            case Release(response_id):
                self.held.remove(response_id)
            case PauseOutput(response_id):
                assert response_id not in self.silenced
                self.silenced.add(response_id)
            case ResumeOutput(response_id):
                self.silenced.remove(response_id)
            case Stop(response_id):
                before = len(self.owed)
                self.owed = [owed for owed in self.owed if not (isinstance(owed, Respond) and owed.response_id == response_id)]
                # A held answer, or one that is still being played, may be complete.
                is_complete = response_id in self.held or response_id in [sent["response"]["id"] for sent in of(self.talk, "response.done")]
                assert len(self.owed) == before - 1 or (is_complete and len(self.owed) == before)
                self.held.discard(response_id)
                self.silenced.discard(response_id)

    def do(self, step: object) -> None:
        match step:
            case "speak" | "pause" | "resume" | "stop":
                self.speak(step)
            case "play":
                for sent in of(self.talk, "response.created")[-2:]:
                    self.perform(self.talk.tell(Played(sent["response"]["id"], 50)))
            case "work" | "fail":
                self.work(fails=step == "fail")
            case "wait":
                self.perform(self.talk.wait(1.5))
            case str() if step in SAYINGS:
                for saying in SAYINGS[step]:
                    self.do(saying)
            case "steal" if started := of(self.talk, "input_audio_buffer.speech_started"):
                self.do({"type": "conversation.item.create", "item": {**TEXT, "id": started[-1]["item_id"]}})
            case dict():
                fields = dict(step)
                self.perform(self.talk.say(fields.pop("type", None), **fields))

    def speak(self, step: str) -> None:
        match step:
            case "speak" if self.telling and not self.speaking:
                self.speaking, self.paused = True, False
                self.perform(self.talk.tell(SpeechStarted(max(0, int(self.ms) - 500))))
            case "stop" if self.speaking:
                self.speaking = False
                self.perform(self.talk.tell(SpeechStopped(max(0, int(self.ms) - 200))))
            case "pause" if self.speaking and not self.paused:
                self.paused = True
                self.perform(self.talk.tell(SpeechPaused(max(0, int(self.ms) - 100))))
                if self.begun is not None:
                    self.perform(self.talk.tell(TextReady(self.begun, self.said.get(self.begun, "") + "it is.")))
            case "resume" if self.speaking and self.paused:
                self.paused = False
                self.perform(self.talk.tell(SpeechResumed(int(self.ms))))

    def work(self, *, fails: bool) -> None:
        if not fails and self.begun is not None:
            self.said[self.begun] = self.said.get(self.begun, "") + "so "
            self.perform(self.talk.tell(Delta(self.begun, "so ")))
        if not self.owed:
            return
        owed = self.owed.pop(0)
        if isinstance(owed, Respond):
            assert owed.response_id not in [sent["response"]["id"] for sent in of(self.talk, "response.done")]
            # As the real driver: what it works at can be stopped while it reports, so it is still owed until its last report.
            self.owed.insert(0, owed)
            for report in (ResponseText(owed.response_id, "One. "), ResponseAudio(owed.response_id, bytes(480), 0.1)):
                self.perform(self.talk.tell(report))
            if not owed.is_held or fails:
                self.perform(self.talk.tell(ResponseTool(owed.response_id, 0, "call_1", "f", "{}")))
            if owed in self.owed:
                self.owed.remove(owed)
                last = ResponseFailed(owed.response_id, BackendFailed("x")) if fails else ResponseDone(owed.response_id)
                self.perform(self.talk.tell(last))
            return
        said = self.said.get(owed.item_id, "")
        report = NotTranscribed(owed.item_id, BackendFailed("x")) if fails else Transcribed(owed.item_id, said + "it is.", 0.1)
        self.perform(self.talk.tell(report))


def of(talk: Any, *kinds: str) -> list[dict[str, Any]]:
    return [sent for sent in talk.sent if sent["type"] in kinds]


def check(talk: Any) -> None:
    """Fail if the protocol's promises were not kept, once nothing is owed any more."""
    # Every response ends once, and what it said in pieces is what it said as a whole.
    created, done = ([sent["response"]["id"] for sent in of(talk, f"response.{stage}")] for stage in ("created", "done"))
    assert sorted(created) == sorted(done) and len(set(done)) == len(done)
    for sent in of(talk, "response.output_audio_transcript.done", "response.output_text.done"):
        kind = sent["type"].replace(".done", ".delta")
        whole = sent.get("transcript", sent.get("text"))
        assert "".join(delta["delta"] for delta in of(talk, kind) if delta["item_id"] == sent["item_id"]) == whole
    # Nothing about a response is sent before it is created: an answer that is begun early is held.
    announced: set[str] = set()
    for sent in talk.sent:
        announced |= {sent["response"]["id"]} if sent["type"] == "response.created" else set()
        assert sent["type"] == "output_audio_buffer.cleared" or {sent.get("response_id")} - {None} <= announced
    # What was opened is closed.
    for opened, closed in (
        ("response.output_item.added", "response.output_item.done"),
        ("conversation.item.added", "conversation.item.done"),
    ):
        assert sorted(sent["item"]["id"] for sent in of(talk, opened)) == sorted(sent["item"]["id"] for sent in of(talk, closed))
    # Every item is committed once, and transcribed at most once, with its deltas as its text.
    committed = [sent["item_id"] for sent in of(talk, "input_audio_buffer.committed")]
    assert len(set(committed)) == len(committed)
    for sent in of(talk, f"{TRANSCRIPTION}.completed"):
        assert (
            "".join(delta["delta"] for delta in of(talk, f"{TRANSCRIPTION}.delta") if delta["item_id"] == sent["item_id"])
            == sent["transcript"]
        )
    # Speech ends where it began, and its time goes forward.
    stopped = [sent["item_id"] for sent in of(talk, "input_audio_buffer.speech_stopped")]
    started = [sent["item_id"] for sent in of(talk, "input_audio_buffer.speech_started")]
    assert set(stopped) <= set(started) and set(stopped) <= set(committed)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=steps, llm=st.booleans(), kind=st.sampled_from(["realtime", "realtime", "transcription"]), turn_taking=turn_takings)
def test_a_session_keeps_its_promises(
    opens: Callable[..., Any], steps: list[object], llm: bool, kind: str, turn_taking: TurnTaking
) -> None:
    talk = opens(kind, llm=llm, limits=Limits(buffer_bytes=500_000, items=8), turn_taking=turn_taking)
    driver = Driver(talk)
    for step in steps:
        driver.do(step)
    while driver.owed:
        driver.work(fails=False)
    check(talk)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=steps)
def test_the_old_dialect_keeps_them_too(opens: Callable[..., Any], steps: list[object]) -> None:
    talk = opens(llm=True, beta=True)
    driver = Driver(talk)
    for step in steps:
        driver.do(step)
    while driver.owed:
        driver.work(fails=False)
    created, done = ([sent["response"]["id"] for sent in of(talk, f"response.{stage}")] for stage in ("created", "done"))
    assert sorted(created) == sorted(done)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(st.sampled_from(["sound", "speak", "stop", "work", "fail"]), max_size=40))
def test_everything_that_is_said_gets_its_text_or_its_failure(opens: Callable[..., Any], steps: list[str]) -> None:
    talk = opens("transcription")
    driver = Driver(talk)
    for step in steps:
        driver.do(step)
    driver.do("stop")
    while driver.owed:
        driver.work(fails=False)
    started = [sent["item_id"] for sent in of(talk, "input_audio_buffer.speech_started")]
    ended = [sent["item_id"] for sent in of(talk, f"{TRANSCRIPTION}.completed", f"{TRANSCRIPTION}.failed")]
    assert sorted(started) == sorted(ended)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.text(max_size=200), st.text('{}[]":,type0123 \\u', max_size=80)))
def test_no_text_at_all_breaks_a_session(opens: Callable[..., Any], text: str) -> None:
    talk = opens()
    assert talk.write(text).error["type"] == "invalid_request_error"
