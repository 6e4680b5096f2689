from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.info import Describe, SelectProgram
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped, SynthesizeVoice
from wyoming.vad import VoiceStarted, VoiceStopped

from open_speech.api.wyoming.effects import (
    AppendAudio,
    AppendText,
    BeginTranscription,
    Close,
    Delta,
    Failed,
    Send,
    SendInfo,
    Speak,
    SpeechAudio,
    SpeechBegan,
    SpeechDone,
    Transcribed,
    VoiceActivity,
)
from open_speech.api.wyoming.pcm import PcmFormat
from open_speech.api.wyoming.session import CHUNK_SAMPLES, STREAM_CHARS, Session
from open_speech.errors import BackendFailed, InvalidRequest

MICROPHONE = AudioStart(16_000, 2, 1)


def chunk(data: bytes = b"\0\0", **form: int) -> AudioChunk:
    return AudioChunk(**{"rate": 16_000, "width": 2, "channels": 1} | form, audio=data)


def sent(effects: list[Any]) -> list[str]:
    return [effect.event.type for effect in effects if isinstance(effect, Send)]


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def hearing(session: Session) -> Session:
    session.receive(Transcribe(language="en"))
    session.receive(MICROPHONE)
    return session


def test_describe_and_ping_are_answered_at_any_time(hearing: Session) -> None:
    assert hearing.receive(Describe()) == [SendInfo()]
    assert hearing.receive(Ping("there?")) == [Send(Pong("there?").event())]


def test_sound_is_transcribed_as_the_request_before_it_says(session: Session) -> None:
    asked = Transcribe(name="tiny", language="de", transcript_names=["Ada"])
    assert session.receive(asked) == []
    assert session.receive(AudioStart(48_000, 2, 2)) == [BeginTranscription(PcmFormat(48_000, 2, 2), asked)]
    assert session.receive(chunk(b"12345678", rate=48_000, channels=2)) == [AppendAudio(b"12345678")]
    assert session.receive(AudioStop()) == [AppendAudio(None)]


def test_sound_without_a_request_before_it_is_transcribed_too(session: Session) -> None:
    assert session.receive(MICROPHONE) == [BeginTranscription(PcmFormat(16_000, 2, 1), Transcribe())]


def test_a_request_is_for_one_sound_only(hearing: Session) -> None:
    hearing.receive(AudioStop())
    hearing.report(Transcribed("one"))
    (listen,) = hearing.receive(MICROPHONE)
    assert isinstance(listen, BeginTranscription)
    assert listen.request.language is None


def test_a_chosen_program_is_the_model_of_who_names_none(session: Session) -> None:
    session.receive(SelectProgram("vosk"))
    (first,) = session.receive(MICROPHONE)
    assert isinstance(first, BeginTranscription)
    assert first.request.name == "vosk"
    session.receive(AudioStop())
    session.report(Transcribed(""))
    session.receive(Transcribe(name="tiny"))
    (second,) = session.receive(MICROPHONE)
    assert isinstance(second, BeginTranscription)
    assert second.request.name == "tiny"


def test_words_are_sent_while_somebody_still_speaks_and_end_in_one_transcript(hearing: Session) -> None:
    assert hearing.report(VoiceActivity(True, 0.25)) == [Send(VoiceStarted(250).event())]
    assert hearing.report(Delta("Ever")) == [Send(TranscriptStart().event()), Send(TranscriptChunk("Ever").event())]
    assert hearing.report(Delta(" tried.")) == [Send(TranscriptChunk(" tried.").event())]
    assert hearing.report(VoiceActivity(False, 1.5)) == [Send(VoiceStopped(1500).event())]
    hearing.receive(AudioStop())
    assert hearing.report(Transcribed("Ever tried.", "en")) == [
        Send(Transcript("Ever tried.", language="en").event()),
        Send(TranscriptStop().event()),
    ]


def test_a_transcript_that_comes_at_once_is_one_chunk(hearing: Session) -> None:
    hearing.receive(AudioStop())
    assert sent(hearing.report(Transcribed("All."))) == ["transcript-start", "transcript-chunk", "transcript", "transcript-stop"]


def test_silence_has_an_empty_transcript_and_no_chunk(hearing: Session) -> None:
    hearing.receive(AudioStop())
    assert sent(hearing.report(Transcribed(""))) == ["transcript-start", "transcript", "transcript-stop"]


def test_nothing_is_taken_while_a_transcript_is_owed(hearing: Session) -> None:
    assert not hearing.is_busy
    hearing.receive(AudioStop())
    assert hearing.is_busy
    hearing.report(Delta("words"))
    assert hearing.is_busy
    hearing.report(Transcribed("words"))
    assert not hearing.is_busy


def test_every_sound_has_a_transcript_of_its_own(session: Session) -> None:
    for _ in range(3):
        session.receive(MICROPHONE)
        session.receive(chunk())
        session.receive(AudioStop())
        assert sent(session.report(Transcribed("again"))).count("transcript") == 1


@pytest.mark.parametrize(
    ("events", "field"),
    [
        ([chunk()], "type"),
        ([AudioStop()], "type"),
        ([Transcribe(), AudioStop()], "type"),
        ([MICROPHONE, MICROPHONE], "type"),
        ([MICROPHONE, chunk(rate=48_000)], "rate"),
        ([MICROPHONE, chunk(channels=2)], "rate"),
        ([AudioStart(0, 2, 1)], "rate"),
        ([AudioStart(16_000, 5, 1)], "width"),
        ([AudioStart(16_000, 2, 0)], "channels"),
        ([SynthesizeChunk("hello")], "type"),
        ([SynthesizeStop()], "type"),
        ([SynthesizeStart(), SynthesizeStart()], "type"),
        ([SynthesizeStart(), SynthesizeChunk("x" * (STREAM_CHARS + 1))], "text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(event.event().type for event in value),
)
def test_what_is_out_of_turn_is_told_and_closes_the_connection(session: Session, events: list[Any], field: str) -> None:
    *before, last = events
    for event in before:
        session.receive(event)
    error, close = session.receive(last)
    assert isinstance(error, Send)
    assert error.event.type == "error"
    assert error.event.data["text"].startswith(f"{field}: ")
    assert close == Close()


def test_a_text_is_spoken_in_one_stretch_of_sound(session: Session) -> None:
    asked = Synthesize("Hello.", SynthesizeVoice("af_sky"))
    assert session.receive(asked) == [Speak(asked)]
    assert session.is_busy
    assert session.report(SpeechBegan(24_000)) == [Send(AudioStart(24_000, 2, 1, timestamp=0).event())]
    assert len(session.report(SpeechAudio(bytes(48_000)))) == -(-24_000 // CHUNK_SAMPLES)
    assert session.report(SpeechDone()) == [Send(AudioStop(timestamp=1000).event())]
    assert not session.is_busy


def test_sound_is_cut_into_chunks_that_know_their_time(session: Session) -> None:
    session.receive(Synthesize("Hello."))
    session.report(SpeechBegan(16_000))
    effects = session.report(SpeechAudio(bytes(2 * (2 * CHUNK_SAMPLES + 1))))
    chunks = [AudioChunk.from_event(effect.event) for effect in effects if isinstance(effect, Send)]
    assert [len(one.audio) for one in chunks] == [2 * CHUNK_SAMPLES, 2 * CHUNK_SAMPLES, 2]
    assert [one.timestamp for one in chunks] == [0, 64, 128]
    (later,) = session.report(SpeechAudio(b"\0\0"))
    assert isinstance(later, Send)
    assert later.event.data["timestamp"] == 128


def test_a_text_with_nothing_to_speak_is_a_moment_of_silence(session: Session) -> None:
    session.receive(Synthesize("🙂"))
    assert sent(session.report(SpeechDone())) == ["audio-start", "audio-chunk", "audio-stop"]
    assert not session.is_busy


def test_a_text_is_spoken_from_its_first_word_on_and_its_copy_is_ignored(session: Session) -> None:
    start = SynthesizeStart(SynthesizeVoice("af_sky"))
    assert session.receive(start) == []
    assert session.receive(SynthesizeChunk("  ")) == []
    assert session.receive(SynthesizeChunk("Hello")) == [Speak(start), AppendText("Hello")]
    assert session.receive(SynthesizeChunk(" there.")) == [AppendText(" there.")]
    assert sent(session.report(SpeechBegan(24_000))) == ["audio-start"]
    assert not session.is_busy
    assert session.receive(Synthesize("Hello there.")) == []
    assert session.receive(SynthesizeStop()) == [AppendText(None)]
    assert session.is_busy
    session.report(SpeechAudio(bytes(4800)))
    assert session.report(SpeechDone()) == [Send(AudioStop(timestamp=100).event()), Send(SynthesizeStopped().event())]
    assert not session.is_busy


@pytest.mark.parametrize("texts", [[], ["", " \n"]])
def test_a_stream_without_a_word_is_ended_without_sound(session: Session, texts: list[str]) -> None:
    session.receive(SynthesizeStart())
    for text in texts:
        assert session.receive(SynthesizeChunk(text)) == []
    assert session.receive(SynthesizeStop()) == [Send(SynthesizeStopped().event())]
    assert not session.is_busy


def test_a_stream_of_symbols_is_ended_without_sound(session: Session) -> None:
    session.receive(SynthesizeStart())
    session.receive(SynthesizeChunk("🙂"))
    session.receive(SynthesizeStop())
    assert sent(session.report(SpeechDone())) == ["synthesize-stopped"]


def test_a_second_speech_on_the_same_connection_is_as_the_first(session: Session) -> None:
    for _ in range(2):
        session.receive(SynthesizeStart())
        session.receive(SynthesizeChunk("Hello."))
        session.receive(SynthesizeStop())
        session.report(SpeechBegan(24_000))
        session.report(SpeechAudio(bytes(48)))
        assert sent(session.report(SpeechDone())) == ["audio-stop", "synthesize-stopped"]


def asked_to_speak(session: Session) -> None:
    session.receive(Synthesize("Hello."))


def asked_to_listen(session: Session) -> None:
    session.receive(MICROPHONE)


@pytest.mark.parametrize("begin", [asked_to_speak, asked_to_listen])
def test_a_failure_is_an_error_and_the_end(session: Session, begin: Callable[[Session], None]) -> None:
    begin(session)
    error, close = session.report(Failed(BackendFailed("The engine broke.")))
    assert isinstance(error, Send)
    assert error.event.data == {"text": "The engine broke.", "code": "backend_failed"}
    assert close == Close()
    assert not session.is_busy
    assert session.receive(Ping()) == []
    assert session.report(SpeechDone()) == []
    assert session.report(Failed(BackendFailed("again"))) == []


def test_what_cannot_be_read_ends_the_connection_with_an_error(session: Session) -> None:
    assert sent(session.invalid_event(InvalidRequest("not JSON"))) == ["error"]
    assert session.invalid_event(InvalidRequest("not JSON")) == []


def test_a_connection_on_which_nothing_was_begun_is_closed_without_a_word(session: Session) -> None:
    assert session.idle() == [Close()]
    assert session.idle() == []


@pytest.mark.parametrize("begun", [MICROPHONE, SynthesizeStart()], ids=["sound", "text"])
def test_a_client_that_falls_silent_in_the_midst_of_something_is_told(session: Session, begun: Any) -> None:
    session.receive(begun)
    assert sent(session.idle()) == ["error"]


EVENTS = (
    Describe(), Ping(), SelectProgram("x"), Transcribe(), MICROPHONE, chunk(), AudioStop(), Synthesize("Hello."),
    SynthesizeStart(), SynthesizeChunk("Hello."), SynthesizeStop(),
)  # fmt: skip


@given(st.lists(st.integers(0, 1000), max_size=60))
def test_whatever_comes_every_end_is_answered_once_and_nothing_follows_the_end(choices: list[int]) -> None:
    session, closed = Session(), False
    owed: list[str] = []
    for choice in choices:
        if session.is_busy:
            effects = session.report(Transcribed("words") if "transcript" in owed else SpeechDone())
        else:
            asked = EVENTS[choice % len(EVENTS)]
            effects = session.receive(asked)
            if closed:
                assert effects == []
            elif AppendAudio(None) in effects:
                owed.append("transcript")
            elif session.is_busy:
                owed.append("synthesize-stopped" if isinstance(asked, SynthesizeStop) else "audio-stop")
        for answer in ("transcript", "synthesize-stopped", "audio-stop"):
            if answer in owed and answer in sent(effects):
                owed.remove(answer)
        closed = closed or Close() in effects
        assert len(owed) == session.is_busy
