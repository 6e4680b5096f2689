"""The responses of a Realtime session: when to respond, to what, and with a language model or by reading text aloud. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from open_speech.api.realtime import prompting
from open_speech.api.realtime.checking import checked
from open_speech.api.realtime.client_messages import InvalidEvent, decoded
from open_speech.api.realtime.early_answers import EarlyAnswer
from open_speech.api.realtime.effects import (
    Effect,
    GenerateText,
    Played,
    Release,
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
from open_speech.api.realtime.events import ResponseParams
from open_speech.api.realtime.items import Item, build_item
from open_speech.api.realtime.response_requests import generation, output_options, respond
from open_speech.api.realtime.responses import Event, Response
from open_speech.api.realtime.settings import check_voice
from open_speech.api.realtime.state import State
from open_speech.api.realtime.transcripts import Transcripts
from open_speech.dialogue.comparable_text import comparable
from open_speech.dialogue.language_models import HOW
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
        self._early = EarlyAnswer()
        self._spoken: Response | None = None
        """The last response of the conversation that was spoken."""
        self._last_id = ""
        self._tool_rounds = 0
        """Responses in a row that had tool calls only, since the user has said something."""
        self._answered: Item | None = None
        """The user message that they answer."""
        self._is_unanswered = False
        """Whether the user spoke again before the first audio of the last answer, which was cancelled."""
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

    @property
    def deadline(self) -> float | None:
        """When `tick` must be called, in seconds since 1970."""
        return self._early.deadline

    def tick(self, now: float) -> list[Effect]:
        """Drop an answer that was begun early if its turn has not ended in time."""
        deadline = self._early.deadline
        return self._early.drop() if deadline is not None and now >= deadline else []

    def audible(self, now: float) -> Response | None:
        """Return the response that the user hears: its audio is being sent, or was not played to its end."""
        spoken = self._spoken
        if spoken is None or not (spoken.id in self._answers or spoken.is_playing(now)):
            return None
        return spoken

    def text_ready(self, item_id: str, text: str, now: float) -> list[Effect]:
        """Begin the answer to a turn that may have ended, and hold it; `text` is its transcript so far."""
        if not self._state.turn_taking.answers_early or not self._early.may_begin(item_id):
            return []
        start = self._early_start(item_id, text, self._state.new_id("resp"))
        return [] if start is None else self._early.begin(item_id, text, start, now)

    def check_early(self, item_id: str | None) -> list[Effect]:
        """Drop the answer that was begun early, unless it would still be begun in the same way, for the turn with this item."""
        early = self._early
        if early.item_id is None or early.response_id in self._answers:
            return []
        start = self._early_start(early.item_id, early.text, "") if item_id == early.item_id else None
        return [] if start is not None and early.matches(start) else early.drop()

    def turn(self, *, always: bool = False) -> list[Effect]:
        """Respond to a turn, now or after the response in progress; with `always` even if its transcript is empty."""
        if self._current is not None:
            self._turn_pending = True
            return self.check_early(None)
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
        if answer.response.is_in_conversation:
            stopped += self._truncate()
        if answer.response.is_in_conversation and self._turn_pending:
            self._turn_pending = False
            return [*stopped, *self.turn()]
        return stopped

    def clear_output(self) -> list[Effect]:
        """Confirm that the output buffer is empty. With WebSocket the server has none; clients of WebRTC expect one."""
        return [*self._truncate(), Send({"type": "output_audio_buffer.cleared", "response_id": self._last_id})]

    def drop(self) -> list[Effect]:
        """Stop all responses without events, because the session ends."""
        started = [answer.response.id for answer in self._answers.values() if answer.is_started]
        self._answers.clear()
        return [*self._early.drop(), *(Stop(response_id) for response_id in started)]

    def interrupt(self) -> list[Effect]:
        """Stop the response of the conversation because the user speaks."""
        self._turn_pending = False
        answer = self._current
        return [*(self._stop(answer, "turn_detected") if answer else ()), *self._truncate()]

    def played(self, report: Played) -> None:
        """Note how much of a response was played, where the server controls the playback."""
        if self._spoken is not None and self._spoken.id == report.response_id:
            self._spoken.played_s = report.ms / 1000

    def report(self, report: ResponseReport, now: float) -> list[Effect]:
        """Handle a report about a response; reports about a stopped one are ignored."""
        held = self._early.hold(report)
        if held is not None:
            return held
        answer = self._answers.get(report.response_id)
        if answer is None:
            return []
        response = answer.response
        match report:
            case ResponseText(_, text, at_s):
                events = response.text(text, at_s) if text else []
            case ResponseAudio(_, data, seconds):
                self._state.has_sent_audio = True
                if response.is_in_conversation:
                    self._spoken = response
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
        newest = next((item for item in reversed(context) if item.type == "message" and item.role == "user"), None)
        # The answer to this turn may have begun already; only its transcript, which is not known yet, shows whether it is the right one.
        has_begun = is_turn and newest is not None and newest.id == self._early.item_id
        dropped = [] if has_begun or outside else self._early.drop()
        response_id = (has_begun and self._early.response_id) or state.new_id("resp")
        response = Response(response_id, output_options(self._state, params), conversation_id, new_id=state.new_id, place=state.items.add)
        answer = _Answer(response, params, context, is_turn, newest=newest)
        self._answers[response.id] = answer
        self._last_id = response.id
        if not outside:
            self.silent_since = None
        began = [*dropped, *_sends(response.begin())]
        if self._reads_aloud(answer):
            return [*began, *self._read_aloud(answer)]
        response.waits_for = {item.id for item in context if item.transcription_status == "pending"}
        return began if response.waits_for else [*began, *self._generate(answer, 0.0)]

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
            return self._fail(answer, NoLanguageModel(f"This server has no language model: {HOW}, or send text to speak."))
        for item in answer.context:
            item.was_read_aloud = True
        return self._start(answer, SpeakText(text), 0.0)

    def _generate(self, answer: _Answer, now: float) -> list[Effect]:
        newest = answer.newest
        is_empty = newest is not None and newest.is_audio and newest.text == "" and newest.transcription_status == ""
        if answer.is_turn and is_empty and not self._is_unanswered:
            # The detected turn contained no speech: there is nothing to answer, unless it was a noise before the answer to the turn before.
            return self._finish(answer, answer.response.end("completed"), now)
        if newest is not self._answered:
            self._answered, self._tool_rounds = newest, 0
        plan = generation(self._state, answer.params, answer.response.output, answer.context, tool_rounds=self._tool_rounds)
        return self._start(answer, plan, now)

    def _early_start(self, item_id: str, text: str, response_id: str) -> Respond | None:
        """Return the start of the answer to a turn that would end now; None if there would be none, or if it would have to wait."""
        state = self._state
        if not state.uses_llm or self._current is not None or not comparable(text):
            return None
        if any(item.transcription_status == "pending" for item in state.items):
            return None
        params = ResponseParams()
        context = [*state.items, Item(item_id, content=[{"type": "input_audio", "transcript": text}])]
        output = output_options(self._state, params)
        return respond(state, response_id, output, generation(state, params, output, context, tool_rounds=0))

    def _start(self, answer: _Answer, plan: SpeakText | GenerateText, now: float) -> list[Effect]:
        answer.is_started = True
        response = answer.response
        self._is_unanswered = self._is_unanswered and not response.is_in_conversation
        start = respond(self._state, response.id, response.output, plan)
        held = self._early.take(start)
        if held is None:
            return [*self._early.drop(response.id), start]
        effects: list[Effect] = [Release(response.id)]
        for report in held:
            effects += self.report(report, now)
        return effects

    def _stop(self, answer: _Answer, reason: Literal["client_cancelled", "turn_detected"]) -> list[Effect]:
        response = answer.response
        stop: list[Effect] = [Stop(response.id)] if answer.is_started else self._early.drop(response.id)
        del self._answers[response.id]
        ended = _sends(response.end("cancelled", reason))
        if reason == "turn_detected" and response.output.has_audio and not response.seconds:
            self._is_unanswered = self._is_unanswered or answer.is_turn
            ended += self._remove_unheard(response)
        return [*stop, *ended]

    def _truncate(self) -> list[Effect]:
        """Drop what was not played of the last spoken response, where the server controls the playback."""
        response, self._spoken = self._spoken, None
        if response is None or response.played_s is None or response.played_s >= response.seconds:
            return []
        item = response.message
        end_ms = int(response.played_s * 1000)
        if item is None or self._state.items.get(item.id) is not item or item.seconds * 1000 <= end_ms:
            return [Stop(response.id)]
        item.truncate(0, end_ms)
        event = {"type": "conversation.item.truncated", "item_id": item.id, "content_index": 0, "audio_end_ms": end_ms}
        return [Stop(response.id), Send(event), *self._remove_unheard(response)]

    def _remove_unheard(self, response: Response) -> list[Effect]:
        """Remove the message of a response that ended before the user heard anything of it: an empty answer confuses the language model."""
        item = response.message
        if item is None or item.seconds or item.text or self._state.items.get(item.id) is not item:
            return []
        self._state.items.remove(item.id)
        return [Send({"type": "conversation.item.deleted", "item_id": item.id})]

    def _fail(self, answer: _Answer, error: SpeechError) -> list[Effect]:
        del self._answers[answer.response.id]
        return _sends(answer.response.end("failed", error=error))

    def _finish(self, answer: _Answer, events: Sequence[Event], now: float) -> list[Effect]:
        del self._answers[answer.response.id]
        response = answer.response
        dropped = self._early.drop(response.id)
        if response.is_in_conversation:
            self._tool_rounds = self._tool_rounds + 1 if response.has_calls_only else 0
        if response.is_in_conversation and response.seconds:
            self.silent_since = max(now, response.playing_until)
        if response.is_in_conversation and self._turn_pending:
            self._turn_pending = False
            return [*dropped, *_sends(events), *self.turn()]
        return [*dropped, *_sends(events)]


def _sends(events: Sequence[Event]) -> list[Effect]:
    return [Send(event) for event in events]
