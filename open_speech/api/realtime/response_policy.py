"""The responses of a Realtime session: when to respond, to what, and with a language model or by reading text aloud. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from open_speech.api.realtime import prompting
from open_speech.api.realtime.checking import checked
from open_speech.api.realtime.effects import (
    Effect,
    GenerateText,
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
from open_speech.api.realtime.items import Item, build_item
from open_speech.api.realtime.responses import Event, OutputOptions, Response
from open_speech.api.realtime.settings import audio_format, check_voice
from open_speech.api.realtime.state import State
from open_speech.api.realtime.transcripts import Transcripts
from open_speech.errors import InvalidRequest, InvalidValue, NothingToSpeak, Overloaded, SpeechError
from open_speech.http.ws_messages import Send

MOST_AT_ONCE = 16
"""Maximum responses outside the conversation that are in progress at once."""

ResponseReport = ResponseText | ResponseAudio | ResponseTool | ResponseDone | ResponseFailed


class ActiveResponse(InvalidRequest):
    """The conversation already has a response in progress."""

    code = "conversation_already_has_active_response"


class NoActiveResponse(InvalidRequest):
    """No response to cancel is in progress."""

    code = "response_cancel_not_active"


class NoLanguageModel(InvalidRequest):
    """No language model is configured."""

    code = "no_llm_configured"


@dataclass(slots=True)
class _Answer:
    """A response, and the parameters to start it."""

    response: Response
    params: ResponseParams
    context: list[Item]
    is_turn: bool
    is_started: bool = False
    newest: Item | None = None
    """The newest user message, which the response answers."""


class ResponsePolicy:
    """The responses in progress: at most one for the conversation, and MOST_AT_ONCE outside it."""

    def __init__(self, state: State, transcripts: Transcripts) -> None:
        self._state = state
        self._transcripts = transcripts
        self._answers: dict[str, _Answer] = {}
        self._last_id = ""
        self._turn_pending = False
        """Whether a turn ended while a response that may not be interrupted was in progress."""
        self.silent_since: float | None = None
        """When the playback of the last response ended, in seconds since 1970; None after the user has spoken."""

    @property
    def is_busy(self) -> bool:
        """Whether a response is in progress."""
        return bool(self._answers)

    @property
    def _current(self) -> _Answer | None:
        return next((answer for answer in self._answers.values() if answer.response.is_in_conversation), None)

    def turn(self, *, always: bool = False) -> list[Effect]:
        """Respond to a turn, now or after the response in progress; with `always` even if its transcript is empty."""
        if self._current is not None:
            self._turn_pending = True
            return []
        return self._create(ResponseParams(), [*self._state.items], is_turn=not always)

    def create(self, raw: Mapping[str, Any] | None) -> list[Effect]:
        """Create a response that the client requests. Raises subclasses of InvalidRequest that name the field; then nothing was done."""
        if not self._state.may_respond:
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
        context, transcribing = self._resolved(params.input)
        return [*transcribing, *self._create(params, context, is_turn=False)]

    def cancel(self, response_id: str | None) -> list[Effect]:
        """Cancel a response on request of the client. Raises NoActiveResponse."""
        answer = self._current if response_id is None else self._answers.get(response_id)
        if answer is None:
            raise NoActiveResponse("Cancellation failed: no active response found.", param="response_id" if response_id else None)
        stopped = self._stop(answer, "client_cancelled")
        if answer.response.is_in_conversation and self._turn_pending:
            self._turn_pending = False
            return [*stopped, *self.turn()]
        return stopped

    def clear_output(self) -> list[Effect]:
        """Confirm that the output buffer is empty. With WebSocket the server has none; clients of WebRTC expect one."""
        return [Send({"type": "output_audio_buffer.cleared", "response_id": self._last_id})]

    def drop(self) -> list[Effect]:
        """Stop all responses without events, because the session ends."""
        started = [answer.response.id for answer in self._answers.values() if answer.is_started]
        self._answers.clear()
        return [Stop(response_id) for response_id in started]

    def interrupt(self) -> list[Effect]:
        """Stop the response of the conversation because the user speaks."""
        self._turn_pending = False
        answer = self._current
        return self._stop(answer, "turn_detected") if answer else []

    def report(self, report: ResponseReport, now: float) -> list[Effect]:
        """Handle a report about a response; reports about a stopped one are ignored."""
        answer = self._answers.get(report.response_id)
        if answer is None:
            return []
        response = answer.response
        match report:
            case ResponseText(_, text, at_s):
                events = response.text(text, at_s) if text else []
            case ResponseAudio(_, data, seconds):
                self._state.has_sent_audio = True
                events = response.audio(data, seconds, now) if data else []
            case ResponseTool():
                events = response.tool(report)
            case ResponseDone(_, reason, usage):
                return self._finish(answer, response.end("incomplete" if reason else "completed", reason, usage), now)
            case ResponseFailed(_, error):
                return self._finish(answer, response.end("failed", error=error), now)
        if response.is_too_long:
            return [*_sends(events), Stop(response.id), *self._finish(answer, response.end("incomplete", "max_output_tokens"), now)]
        return _sends(events)

    def transcript_ready(self, item_id: str, now: float, error: SpeechError | None = None) -> list[Effect]:
        """Continue the responses that waited for an item's transcript, or for the `error` of its transcription."""
        effects: list[Effect] = []
        for answer in [*self._answers.values()]:
            if answer.is_started or item_id not in answer.response.waits_for:
                continue
            answer.response.waits_for.discard(item_id)
            if error is not None and answer.newest is not None and answer.newest.id == item_id:
                effects += self._finish(answer, answer.response.end("failed", error=error), now)
            elif not answer.response.waits_for:
                effects += self._generate(answer, now)
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
        began = _sends(response.begin())
        if self._reads_aloud(answer):
            return [*began, *self._read_aloud(answer)]
        response.waits_for = {item.id for item in context if item.transcription_status == "pending"}
        return began if response.waits_for else [*began, *self._generate(answer, 0.0)]

    def _output(self, params: ResponseParams) -> OutputOptions:
        config = self._state.config
        output = params.audio.output if params.audio else None
        format = (output.format if output else None) or config.audio.output.format
        voice = (output.voice if output else None) or config.audio.output.voice
        return OutputOptions(
            tuple(params.output_modalities or config.output_modalities), format,
            voice if isinstance(voice, str) else voice.id, params.max_output_tokens or config.max_output_tokens, params.metadata,
        )  # fmt: skip

    def _resolved(self, raw_items: Sequence[Mapping[str, Any]]) -> tuple[list[Item], list[Effect]]:
        """Build the items of a client's `response.input`; those with audio are transcribed first, for the model."""
        context: list[Item] = []
        transcribing: list[TranscribeItem] = []
        for number, raw in enumerate(raw_items):
            path = f"response.input[{number}]"
            if raw.get("type") == "item_reference":
                found = self._state.items.get(str(raw.get("id")))
                if found is None:
                    raise InvalidValue("The conversation has no item with this id.", param=f"{path}.id")
                context.append(found)
                continue
            item, audio = build_item(raw, self._state.new_id("item"), path)
            context.append(item)
            if audio is not None and self._state.uses_llm and not item.text:
                format = self._state.config.format
                data = decoded(audio, format.width, f"{path}.content")
                transcribing.append(TranscribeItem(item.id, data, format, self._state.config.transcription))
        items = {item.id: item for item in context}
        for effect in transcribing:
            self._transcripts.expect(items[effect.item_id], is_shown=False)
        return context, [*transcribing]

    def _reads_aloud(self, answer: _Answer) -> bool:
        """Return whether the text exists already and only has to be spoken; a language model would change it, and take longer."""
        state, params = self._state, answer.params
        if not state.uses_llm:
            return True
        if params.conversation != "none" or not answer.response.output.has_audio or params.input is None:
            return False
        only = answer.context[0] if len(answer.context) == 1 else None
        if only is None or only.role != "user" or only.is_audio or not only.text:
            return False
        choice = params.tool_choice if params.tool_choice is not None else state.config.tool_choice
        return choice == "none" or prompting.asks_to_read(params.instructions or state.config.instructions)

    def _read_aloud(self, answer: _Answer) -> list[Effect]:
        newest = answer.newest
        is_new = newest is not None and (answer.params.input is not None or not newest.was_read_aloud)
        text = " ".join(part["text"] for part in newest.content if part["type"] == "input_text") if newest and is_new else ""
        if not text.strip() and not self._state.defaults.has_llm:
            text = answer.params.instructions or ""  # no model could follow them: such a client sends the text to speak
        if not text.strip():
            if self._state.defaults.has_llm:
                return self._fail(answer, NothingToSpeak("There is no new text to speak.", param="response.input"))
            return self._fail(answer, NoLanguageModel("This server has no language model: set LLM_BASE_URL, or send text to speak."))
        for item in answer.context:
            item.was_read_aloud = True
        return self._start(answer, SpeakText(text))

    def _generate(self, answer: _Answer, now: float) -> list[Effect]:
        newest = answer.newest
        if answer.is_turn and newest is not None and newest.is_audio and newest.text == "" and newest.transcription_status == "":
            # The detected turn contained no speech: there is nothing to answer.
            return self._finish(answer, answer.response.end("completed"), now)
        return self._start(answer, GenerateText(self._request(answer)))

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

    def _start(self, answer: _Answer, plan: SpeakText | GenerateText) -> list[Effect]:
        answer.is_started = True
        state, output = self._state, answer.response.output
        format = audio_format(output.format)
        model = state.model if state.defaults.knows_model(state.model) == "tts" else None
        output_config = state.config.audio.output
        return [
            Respond(answer.response.id, plan, output.has_audio, format, output.voice, model, output_config.speed, output_config.language)
        ]

    def _stop(self, answer: _Answer, reason: Literal["client_cancelled", "turn_detected"]) -> list[Effect]:
        stop: list[Effect] = [Stop(answer.response.id)] if answer.is_started else []
        del self._answers[answer.response.id]
        return [*stop, *_sends(answer.response.end("cancelled", reason))]

    def _fail(self, answer: _Answer, error: SpeechError) -> list[Effect]:
        del self._answers[answer.response.id]
        return _sends(answer.response.end("failed", error=error))

    def _finish(self, answer: _Answer, events: Sequence[Event], now: float) -> list[Effect]:
        del self._answers[answer.response.id]
        response = answer.response
        if response.is_in_conversation and response.seconds:
            self.silent_since = max(now, response.playing_until)
        if response.is_in_conversation and self._turn_pending:
            self._turn_pending = False
            return [*_sends(events), *self.turn()]
        return _sends(events)


def _sends(events: Sequence[Event]) -> list[Effect]:
    return [Send(event) for event in events]
