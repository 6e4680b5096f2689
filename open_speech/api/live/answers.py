"""The answers of a Live session: when the server speaks, what about, and the work that it delegates. Pure.

Everything that is to be answered is first added to the conversation: turns of the user, results of delegated work, and orders of the
application. One answer at a time is then made of all of it, when nobody speaks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from open_speech.api.live.conversation import Call, Conversation, Entry
from open_speech.api.live.delegation import ResponseChain, delegation_created
from open_speech.api.live.early_answers import EarlyAnswer
from open_speech.api.live.effects import (
    AnswerAudio,
    AnswerDone,
    AnswerFailed,
    AnswerReport,
    AnswerText,
    AnswerTool,
    ClearOutput,
    Effect,
    Generate,
    Release,
    Speak,
    StopAnswer,
)
from open_speech.api.live.errors import ResponseInProgress, pipeline_failure
from open_speech.api.live.output import Speech
from open_speech.api.live.response_input import ResponseInput
from open_speech.api.live.state import State
from open_speech.api.realtime import prompting
from open_speech.api.realtime.client_messages import InvalidEvent
from open_speech.errors import InvalidValue
from open_speech.http.ws_messages import Send

MOST_DELEGATIONS = 256
"""Delegations that are remembered: later results for older ones are notes."""
MOST_TEXTS = 64
"""Texts that may wait to be read aloud."""
DELEGATE: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "delegate",
        "description": (
            "Hand a task to the application behind this conversation. Use it for everything that you cannot answer yourself:"
            " current facts, the user's own data, and actions. Answer greetings and small talk yourself."
        ),
        "parameters": {"type": "object", "properties": {"task": {"type": "string"}}, "required": ["task"]},
    },
}
"""The tool with which the language model hands work to the application."""
ACKNOWLEDGE = "The work is in progress. Say in a few words that you are working on it, and nothing else."


@dataclass(slots=True)
class _Answer:
    """The answer in progress: from its request until it was played."""

    id: int
    speech: Speech
    is_acknowledgement: bool = False
    texts: list[str] = field(default_factory=list)
    calls: dict[int, Call] = field(default_factory=dict)
    chain: ResponseChain | None = None
    delegation_id: str | None = None
    """The delegation that this answer announced or continues."""
    is_generated: bool = False
    is_cut: bool = False
    """Whether the user interrupted the answer; its tool calls are still completed."""
    entry: Entry | None = None
    """Its place in the conversation."""


class AnswerPolicy:
    """The answers of one session."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._input = ResponseInput(state.conversation)
        self._count = 0
        self._current: _Answer | None = None
        self._wanted = False
        """Whether the conversation has something to answer."""
        self._chained: tuple[str | None] | None = None
        """The delegation that the next answer continues, in a tuple; None: the next answer was not requested by `response.create`."""
        self._texts: deque[str] = deque()
        """Texts to read aloud, without a language model."""
        self._delegations: dict[str, Call | None] = {}
        """The work of the application, by id, with the tool call that started it."""
        self._acknowledge_at_ms: int | None = None
        self._early = EarlyAnswer()
        self._rounds = 0
        """Answers in a row that had tool calls only, since the user has said something."""
        self.is_user_busy = False
        """Whether the user speaks, or what was said is not transcribed yet."""

    @property
    def is_speaking(self) -> bool:
        """Whether an answer is being made or played."""
        return self._current is not None

    def say(self, text: str) -> list[Effect]:
        """Answer what the user said."""
        self._rounds = 0
        self._state.conversation.say(text)
        if self._state.has_llm:
            self._wanted = True
            return []
        return [self._delegate(None)]

    def prepare(self, turn: int, text: str) -> list[Effect]:
        """Begin the answer to a turn that may have ended, and hold it, unless there is something else to answer."""
        state = self._state
        is_busy = self._current is not None or self._wanted or self._chained is not None or self._texts
        if is_busy or not (state.has_llm and state.limits.early_answers and self._early.may_begin(turn)):
            return []
        self._count += 1
        request = self._request(state.conversation.with_turn(text), rounds=0)
        return self._early.begin(turn, Generate(self._count, request, is_held=True), state.timeline.ms)

    def drop_early(self) -> list[Effect]:
        """Drop the answer that is held, because the user goes on or the turn is none."""
        return self._early.drop()

    def expire_early(self) -> list[Effect]:
        """Drop the answer that is held if that has lasted for too long."""
        return self._early.expire(self._state.timeline.ms)

    def think(self, text: str, delegation_id: str | None) -> list[Effect]:
        """Add context that is not spoken. Raises InvalidValue for an unknown delegation."""
        self.check_delegation(delegation_id)
        self._state.conversation.note(text)
        return self._cancel_acknowledgement()

    def comment(self, text: str, delegation_id: str | None) -> list[Effect]:
        """Voice a text of the application: a result of delegated work, or an order. Raises InvalidValue for an unknown delegation."""
        self.check_delegation(delegation_id)
        if not self._state.has_llm:
            if len(self._texts) >= MOST_TEXTS:
                raise InvalidValue(f"More than {MOST_TEXTS} texts wait to be spoken.", param="content")
            self._texts.append(text)
            return self.proceed()
        stopped = self._cancel_acknowledgement()
        call = self._delegations.get(delegation_id) if delegation_id else None
        if call is not None and call.output is None:
            call.output = text
        elif delegation_id is not None:
            self._state.conversation.note(f"Result of the delegated work: {text}")
        else:
            self._state.conversation.note(f"Do the following now, in your own words. Do not read it out. {text}")
        self._wanted = True
        return [*stopped, *self.proceed()]

    def add_item(self, item: dict[str, Any]) -> None:
        """Add input for the backend. Raises subclasses of InvalidRequest."""
        self._require_responses()
        self._input.add(item)

    def respond(self) -> list[Effect]:
        """Respond to the input that was added. Raises subclasses of InvalidRequest."""
        self._require_responses()
        if self._chained is not None or (self._current is not None and self._current.chain and not self._current.is_generated):
            raise ResponseInProgress("A response is in progress.")
        self._chained = (self._input.respond(),)
        self._wanted = True
        stopped = self._cancel_acknowledgement()
        return [*stopped, *self.proceed()]

    def proceed(self) -> list[Effect]:
        """Finish the answer that was played, and start the next one if there is one and nobody speaks."""
        effects: list[Effect] = []
        current = self._current
        if current is not None and current.is_generated and (current.speech.is_over or current.is_cut):
            if not current.is_cut:
                self._state.track.finish()
            self._current = current = None
        if current is not None or self.is_user_busy:
            return effects
        if self._texts:
            return [Speak(self._begin().id, self._texts.popleft())]
        if self._wanted:
            return [*effects, *self._generate()]
        if self._acknowledge_at_ms is not None and self._state.timeline.ms >= self._acknowledge_at_ms:
            self._acknowledge_at_ms = None
            return self._acknowledge()
        return effects

    def interrupt(self) -> list[Effect]:
        """End the answer because the user speaks; what was not heard is dropped. Delegated work goes on."""
        current = self._current
        if current is None or current.is_cut:
            return []
        heard = self._state.track.drop().strip()
        if current.entry is not None:
            self._state.conversation.shorten(current.entry, heard)
        elif heard and not current.calls and not current.is_acknowledgement:
            current.entry = self._state.conversation.answer(heard)
        current.is_cut = True
        if current.calls and not current.is_generated:
            return [ClearOutput()]
        effects: list[Effect] = [ClearOutput(), *([] if current.is_generated else [StopAnswer(current.id)])]
        if current.chain is not None and not current.is_generated:
            effects += _sends(current.chain.end([], {}, reason="turn_detected"))
        self._current = None
        return effects

    def report(self, report: AnswerReport) -> list[Effect]:
        """Handle a report about an answer; reports about a stopped one are ignored."""
        if (held := self._early.hold(report)) is not None:
            return held
        current = self._current
        if current is None or current.id != report.answer_id:
            return []
        match report:
            case AnswerText(_, text, at_s):
                current.texts.append(text)
                current.speech.add_text(text, at_s)
                return _sends(current.chain.text(text)) if current.chain else []
            case AnswerAudio(_, samples):
                if not current.is_cut:
                    current.speech.add_audio(samples)
                return []
            case AnswerTool():
                return self._tool(current, report)
            case AnswerDone(_, reason, usage):
                return [*self._done(current, reason, usage), *self.proceed()]
            case AnswerFailed(_, error):
                events = current.chain.end([], {}, error=error) if current.chain else []
                current.calls.clear()
                self._end(current)
                return [Send(pipeline_failure(error)), *_sends(events), *self.proceed()]

    def _begin(self) -> _Answer:
        self._count += 1
        self._current = _Answer(self._count, self._state.track.begin())
        return self._current

    def _generate(self) -> list[Effect]:
        answer, self._wanted = self._begin(), False
        chained, self._chained = self._chained, None
        request = self._request(self._state.conversation, rounds=self._rounds)
        held = self._early.take(request) if chained is None else None
        if held is not None:
            answer.id = held.generate.answer_id
            return [Release(answer.id), *(effect for report in held.reports for effect in self.report(report))]
        began: list[Effect] = self._early.drop()
        if chained is not None:
            answer.delegation_id = chained[0]
            began += self._open_chain(answer)
        return [*began, Generate(answer.id, request)]

    def _request(self, conversation: Conversation, *, rounds: int) -> dict[str, Any]:
        """Build the request of an answer; `rounds` answers in a row had tool calls only."""
        may_call = rounds < self._state.limits.tool_rounds  # without tools, the model must answer in words
        responses = self._state.config.responses
        if responses is None:
            return {"messages": conversation.messages()} | ({"tools": [DELEGATE]} if may_call else {})
        request: dict[str, Any] = {"messages": conversation.messages(responses.instructions or "")}
        if may_call and (tools := prompting.tools(responses.tools or [])):
            choice = None if responses.tool_choice is None else prompting.tool_choice(responses.tool_choice)
            request["tools"] = tools
            request |= {} if choice in (None, "auto") else {"tool_choice": choice}
            request |= {} if responses.parallel_tool_calls is None else {"parallel_tool_calls": responses.parallel_tool_calls}
        if responses.max_output_tokens is not None:
            request["max_tokens"] = responses.max_output_tokens
        return request

    def _acknowledge(self) -> list[Effect]:
        answer = self._begin()
        answer.is_acknowledgement = True
        messages = self._state.conversation.messages(ACKNOWLEDGE)
        return [Generate(answer.id, {"messages": messages, "max_tokens": 40})]

    def _cancel_acknowledgement(self) -> list[Effect]:
        """Leave out an acknowledgement that nobody has heard, because there is something better to say."""
        self._acknowledge_at_ms = None
        current = self._current
        if current is None or not current.is_acknowledgement or current.speech.has_begun:
            return []
        self._state.track.drop()
        self._current = None
        return [StopAnswer(current.id)]

    def _tool(self, answer: _Answer, report: AnswerTool) -> list[Effect]:
        if answer.is_acknowledgement:
            return []
        call = answer.calls.get(report.index)
        if call is not None:
            call.arguments += report.arguments
            return []
        answer.calls[report.index] = Call(report.call_id, report.name, report.arguments)
        if self._state.config.responses is None or answer.chain is not None:
            return []
        response_id = self._state.new_id("resp")
        answer.delegation_id = self._state.new_id("item")
        created = Send(delegation_created(answer.delegation_id, "responses", self._state.timeline.ms, response_id))
        return [created, *self._open_chain(answer, response_id)]

    def _open_chain(self, answer: _Answer, response_id: str = "") -> list[Effect]:
        state, responses = self._state, self._state.config.responses
        assert responses is not None
        id = response_id or state.new_id("resp")
        answer.chain = ResponseChain(
            id, responses.model, answer.delegation_id, state.new_id, int(state.started_at + state.timeline.seconds)
        )
        return _sends(answer.chain.begin())

    def _done(self, answer: _Answer, reason: str, usage: Any) -> list[Effect]:
        calls = [*answer.calls.values()]
        effects = _sends(answer.chain.end(calls, usage, reason=reason)) if answer.chain else []
        self._end(answer)
        if not calls:
            self._rounds = 0
            return effects
        self._rounds = 0 if answer.texts else self._rounds + 1
        if self._state.config.responses is None:
            effects += [self._delegate(call) for call in calls]
        else:
            if answer.delegation_id is None:
                answer.delegation_id = self._state.new_id("item")
            self._input.expect(calls, answer.delegation_id)
        if not answer.texts:
            delay_ms = self._state.config.delegation.acknowledgement_delay_ms or 0
            self._acknowledge_at_ms = self._state.timeline.ms + delay_ms
        return effects

    def _end(self, answer: _Answer) -> None:
        """Add a generated answer to the conversation; what is left of its audio is still played."""
        answer.is_generated = True
        answer.speech.end()
        text = "".join(answer.texts).strip()
        if answer.is_cut:
            text = answer.speech.heard.strip()
        if answer.is_acknowledgement:
            return  # not a part of the conversation: it would stand between a tool call and the answer to its result
        if answer.entry is None and (text or answer.calls):
            answer.entry = self._state.conversation.answer(text, answer.calls.values())
        elif answer.entry is not None:
            answer.entry.calls = [*answer.calls.values()]

    def _delegate(self, call: Call | None) -> Effect:
        """Announce work of the application, with the tool call that started it, if any."""
        delegation_id = self._state.new_id("item")
        self._delegations[delegation_id] = call
        if len(self._delegations) > MOST_DELEGATIONS:
            del self._delegations[next(iter(self._delegations))]
        return Send(delegation_created(delegation_id, "client", self._state.timeline.ms, None))

    def check_delegation(self, delegation_id: str | None) -> None:
        """Raise InvalidValue for a delegation that does not exist, or that the client does not work on."""
        if delegation_id is None:
            return
        if self._state.config.responses is not None:
            raise InvalidValue("`delegation_id` must be null with `responses` delegation.", param="delegation_id")
        if delegation_id not in self._delegations:
            raise InvalidValue("No delegation has this id.", param="delegation_id")

    def _require_responses(self) -> None:
        if self._state.config.responses is None:
            raise InvalidEvent(
                "This event requires a session with Responses delegation (`session.delegation.type`: `responses`).", param="type"
            )


def _sends(events: Sequence[dict[str, Any]]) -> list[Effect]:
    return [Send(event) for event in events]
