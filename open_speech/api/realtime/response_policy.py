"""The responses of a Realtime session: what is answered, by whom, and when. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from open_speech.api.realtime import prompting
from open_speech.api.realtime.checking import checked
from open_speech.api.realtime.effects import (
    AskModel,
    Effect,
    Respond,
    ResponseAudio,
    ResponseDone,
    ResponseFailed,
    ResponseText,
    ResponseTool,
    SpeakText,
    Stop,
    TranscribeItem,
)
from open_speech.api.realtime.events import InvalidEvent, ResponseParams, decoded
from open_speech.api.realtime.items import Item, made
from open_speech.api.realtime.responses import Event, OutputOptions, Response
from open_speech.api.realtime.settings import audio_format, check_voice
from open_speech.api.realtime.state import State
from open_speech.api.realtime.transcripts import Transcripts
from open_speech.errors import InvalidRequest, InvalidValue, NothingToSpeak, Overloaded, SpeechError
from open_speech.http.ws_messages import Send

MOST_AT_ONCE = 16
"""Responses outside of the conversation that may be in progress."""

ResponseReport = ResponseText | ResponseAudio | ResponseTool | ResponseDone | ResponseFailed


class ActiveResponse(InvalidRequest):
    """The conversation is being answered already."""

    code = "conversation_already_has_active_response"


class NoActiveResponse(InvalidRequest):
    """There is nothing to cancel."""

    code = "response_cancel_not_active"


class NoLanguageModel(InvalidRequest):
    """Nobody is here who could think of an answer."""

    code = "no_llm_configured"


@dataclass(slots=True)
class _Answer:
    """A response, and what it needs to begin."""

    response: Response
    params: ResponseParams
    context: list[Item]
    is_turn: bool
    is_started: bool = False
    newest: Item | None = None
    """The item that is answered."""


class Answering:
    """The responses in progress: at most one for the conversation, some outside of it."""

    def __init__(self, state: State, transcripts: Transcripts) -> None:
        self._state = state
        self._transcripts = transcripts
        self._answers: dict[str, _Answer] = {}
        self._last_id = ""
        self._turn_waits = False
        """Somebody spoke while a response that may not be interrupted was in progress."""
        self.silent_since: float | None = None
        """When the last answer of the conversation had been heard, since nobody spoke."""

    @property
    def is_busy(self) -> bool:
        """Whether a response is in progress."""
        return bool(self._answers)

    @property
    def _current(self) -> _Answer | None:
        return next((answer for answer in self._answers.values() if answer.response.is_in_conversation), None)

    def turn(self, *, asks_always: bool = False) -> list[Effect]:
        """Answer what was just said, now or when the response in progress is over; with `asks_always` even if it was nothing."""
        if self._current is not None:
            self._turn_waits = True
            return []
        return self._create(ResponseParams(), [*self._state.items], is_turn=not asks_always)

    def create(self, raw: Mapping[str, Any] | None) -> list[Effect]:
        """Answer because the client asks for it. Raises InvalidRequest's children naming the field; then nothing was done."""
        if self._state.kind == "transcription":
            raise InvalidEvent("A transcription session cannot create responses.", param="type")
        params = checked(ResponseParams, raw or {}, "response")
        chosen = params.audio.output.voice if params.audio and params.audio.output else None
        if chosen is not None:
            check_voice(chosen if isinstance(chosen, str) else chosen.id, self._state.defaults, "response.audio.output.voice")
        if params.conversation != "none" and self._current is not None:
            raise ActiveResponse("The conversation already has an active response in progress.")
        outside = sum(not answer.response.is_in_conversation for answer in self._answers.values())
        if params.conversation == "none" and outside >= MOST_AT_ONCE:
            raise Overloaded(f"More than {MOST_AT_ONCE} responses are in progress.", retry_after_s=1)
        if params.input is None:
            return self._create(params, [*self._state.items], is_turn=False)
        context, hearing = self._resolved(params.input)
        return [*hearing, *self._create(params, context, is_turn=False)]

    def cancel(self, response_id: str | None) -> list[Effect]:
        """Stop because the client asks for it. Raises NoActiveResponse."""
        answer = self._current if response_id is None else self._answers.get(response_id)
        if answer is None:
            raise NoActiveResponse("Cancellation failed: no active response found.", param="response_id" if response_id else None)
        stopped = self._stop(answer, "client_cancelled")
        if answer.response.is_in_conversation and self._turn_waits:
            self._turn_waits = False
            return [*stopped, *self.turn()]
        return stopped

    def clear_output(self) -> list[Effect]:
        """Answer a client that thinks sound is held back here, as it is with WebRTC."""
        return [Send({"type": "output_audio_buffer.cleared", "response_id": self._last_id})]

    def drop(self) -> list[Effect]:
        """Stop everything without a word, because the session ends."""
        started = [answer.response.id for answer in self._answers.values() if answer.is_started]
        self._answers.clear()
        return [Stop(response_id) for response_id in started]

    def interrupt(self) -> list[Effect]:
        """Stop because somebody speaks."""
        self._turn_waits = False
        answer = self._current
        return self._stop(answer, "turn_detected") if answer else []

    def report(self, report: ResponseReport, now: float) -> list[Effect]:
        """Take a piece of a response; of one that was stopped nothing is taken."""
        answer = self._answers.get(report.response_id)
        if answer is None:
            return []
        response = answer.response
        match report:
            case ResponseText(_, text, at_s):
                events = response.text(text, at_s) if text else []
            case ResponseAudio(_, data, seconds):
                self._state.has_spoken = True
                events = response.audio(data, seconds, now) if data else []
            case ResponseTool():
                events = response.tool(report)
            case ResponseDone(_, reason, usage):
                return self._over(answer, response.end("incomplete" if reason else "completed", reason, usage), now)
            case ResponseFailed(_, error):
                return self._over(answer, response.end("failed", error=error), now)
        if response.is_too_long:
            return [*_sent(events), Stop(response.id), *self._over(answer, response.end("incomplete", "max_output_tokens"), now)]
        return _sent(events)

    def heard(self, item_id: str, now: float, error: SpeechError | None = None) -> list[Effect]:
        """Go on with the responses that waited for an item's transcript."""
        effects: list[Effect] = []
        for answer in [*self._answers.values()]:
            if answer.is_started or item_id not in answer.response.waits_for:
                continue
            answer.response.waits_for.discard(item_id)
            if error is not None and answer.newest is not None and answer.newest.id == item_id:
                effects += self._over(answer, answer.response.end("failed", error=error), now)
            elif not answer.response.waits_for:
                effects += self._ask(answer, now)
        return effects

    def _create(self, params: ResponseParams, context: list[Item], *, is_turn: bool) -> list[Effect]:
        state = self._state
        outside = params.conversation == "none"
        conversation_id = None if outside else state.conversation_id
        response = Response(state.new_id("resp"), self._output(params), conversation_id, new_id=state.new_id, place=state.items.add)
        answer = _Answer(response, params, context, is_turn)
        answer.newest = next((item for item in reversed(context) if item.type == "message" and item.role == "user"), None)
        self._answers[response.id] = answer
        self._last_id = response.id
        if not outside:
            self.silent_since = None
        began = _sent(response.begin())
        if self._reads_aloud(answer):
            return [*began, *self._read(answer)]
        response.waits_for = {item.id for item in context if item.hearing == "pending"}
        return began if response.waits_for else [*began, *self._ask(answer, 0.0)]

    def _output(self, params: ResponseParams) -> OutputOptions:
        config = self._state.config
        output = params.audio.output if params.audio else None
        format = (output.format if output else None) or config.audio.output.format
        voice = (output.voice if output else None) or config.audio.output.voice
        return OutputOptions(
            tuple(params.output_modalities or config.output_modalities), format,
            voice if isinstance(voice, str) else voice.id, params.max_output_tokens or config.max_output_tokens, params.metadata,
        )  # fmt: skip

    def _resolved(self, described: Sequence[Mapping[str, Any]]) -> tuple[list[Item], list[Effect]]:
        """Build the items that a client gives to one response; those with sound are heard first, for the model."""
        context: list[Item] = []
        hearing: list[TranscribeItem] = []
        for number, raw in enumerate(described):
            path = f"response.input[{number}]"
            if raw.get("type") == "item_reference":
                found = self._state.items.get(str(raw.get("id")))
                if found is None:
                    raise InvalidValue("The conversation has no item with this id.", param=f"{path}.id")
                context.append(found)
                continue
            item, sound = made(raw, self._state.new_id("item"), path)
            context.append(item)
            if sound is not None and self._state.asks_model and not item.text:
                format = self._state.config.format
                data = decoded(sound, format.width, f"{path}.content")
                hearing.append(TranscribeItem(item.id, data, format, self._state.config.transcription))
        items = {item.id: item for item in context}
        for effect in hearing:
            self._transcripts.expect(items[effect.item_id], shows=False)
        return context, [*hearing]

    def _reads_aloud(self, answer: _Answer) -> bool:
        """Whether the text is there already and only needs a voice; asking a model would change it, and take longer."""
        state, params = self._state, answer.params
        if not state.asks_model:
            return True
        if params.conversation != "none" or not answer.response.output.is_spoken or params.input is None:
            return False
        only = answer.context[0] if len(answer.context) == 1 else None
        if only is None or only.role != "user" or only.is_audio or not only.text:
            return False
        choice = params.tool_choice if params.tool_choice is not None else state.config.tool_choice
        return choice == "none" or prompting.asks_to_read(params.instructions or state.config.instructions)

    def _read(self, answer: _Answer) -> list[Effect]:
        newest = answer.newest
        is_new = newest is not None and (answer.params.input is not None or not newest.is_spoken)
        text = " ".join(part["text"] for part in newest.content if part["type"] == "input_text") if newest and is_new else ""
        if not text.strip():
            if self._state.defaults.has_llm:
                return self._failed(answer, NothingToSpeak("There is no new text to speak.", param="response.input"))
            return self._failed(answer, NoLanguageModel("This server has no language model: set LLM_BASE_URL, or send text to speak."))
        for item in answer.context:
            item.is_spoken = True
        return self._start(answer, SpeakText(text))

    def _ask(self, answer: _Answer, now: float) -> list[Effect]:
        newest = answer.newest
        if answer.is_turn and newest is not None and newest.is_audio and newest.text == "" and newest.hearing == "":
            # What was taken for speech was none: there is nothing to answer.
            return self._over(answer, answer.response.end("completed"), now)
        return self._start(answer, AskModel(self._request(answer)))

    def _request(self, answer: _Answer) -> dict[str, Any]:
        config, params, output = self._state.config, answer.params, answer.response.output
        instructions = config.instructions if params.instructions is None else params.instructions
        request: dict[str, Any] = {"messages": prompting.messages(instructions, answer.context)}
        offered = prompting.tools(config.tools if params.tools is None else params.tools)
        if offered:
            request["tools"] = offered
            choice = prompting.tool_choice(config.tool_choice if params.tool_choice is None else params.tool_choice)
            parallel = config.parallel_tool_calls if params.parallel_tool_calls is None else params.parallel_tool_calls
            request |= {} if choice in (None, "auto") else {"tool_choice": choice}
            request |= {} if parallel is None else {"parallel_tool_calls": parallel}
        if output.max_output_tokens != "inf":
            request["max_tokens"] = output.max_output_tokens
        temperature = config.temperature if params.temperature is None else params.temperature
        return request if temperature is None else {**request, "temperature": temperature}

    def _start(self, answer: _Answer, plan: SpeakText | AskModel) -> list[Effect]:
        answer.is_started = True
        state, output = self._state, answer.response.output
        format = audio_format(output.format)
        model = state.model if state.defaults.knows_model(state.model) == "tts" else None
        said = state.config.audio.output
        return [Respond(answer.response.id, plan, output.is_spoken, format, output.voice, model, said.speed, said.language)]

    def _stop(self, answer: _Answer, reason: Literal["client_cancelled", "turn_detected"]) -> list[Effect]:
        stop: list[Effect] = [Stop(answer.response.id)] if answer.is_started else []
        del self._answers[answer.response.id]
        return [*stop, *_sent(answer.response.end("cancelled", reason))]

    def _failed(self, answer: _Answer, error: SpeechError) -> list[Effect]:
        del self._answers[answer.response.id]
        return _sent(answer.response.end("failed", error=error))

    def _over(self, answer: _Answer, events: Sequence[Event], now: float) -> list[Effect]:
        del self._answers[answer.response.id]
        response = answer.response
        if response.is_in_conversation and response.seconds:
            self.silent_since = max(now, response.playing_until)
        if response.is_in_conversation and self._turn_waits:
            self._turn_waits = False
            return [*_sent(events), *self.turn()]
        return _sent(events)


def _sent(events: Sequence[Event]) -> list[Effect]:
    return [Send(event) for event in events]
