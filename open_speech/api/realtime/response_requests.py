"""The start of a Realtime response: its options, its request to the language model, and the effect with both. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from open_speech.api.realtime import prompting
from open_speech.api.realtime.effects import GenerateText, Respond, SpeakText
from open_speech.api.realtime.events import ResponseParams
from open_speech.api.realtime.items import Item
from open_speech.api.realtime.responses import OutputOptions
from open_speech.api.realtime.settings import audio_format
from open_speech.api.realtime.state import State


def output_options(state: State, params: ResponseParams) -> OutputOptions:
    """Return the options of a response: its own parameters before those of the session."""
    config = state.config
    output = params.audio.output if params.audio else None
    format = (output.format if output else None) or config.audio.output.format
    voice = (output.voice if output else None) or config.audio.output.voice
    return OutputOptions(
        tuple(params.output_modalities or config.output_modalities), format,
        voice if isinstance(voice, str) else voice.id, params.max_output_tokens or config.max_output_tokens, params.metadata,
    )  # fmt: skip


def generation(state: State, params: ResponseParams, output: OutputOptions, context: Sequence[Item], *, tool_rounds: int) -> GenerateText:
    """Return the request to the language model; `tool_rounds` responses before it had tool calls only."""
    config = state.config
    instructions = config.instructions if params.instructions is None else params.instructions
    request: dict[str, Any] = {"messages": prompting.messages(instructions, context)}
    may_call = tool_rounds < state.limits.tool_rounds  # without tools, the model must answer in words
    offered = prompting.tools(config.tools if params.tools is None else params.tools) if may_call else []
    if offered:
        request["tools"] = offered
        choice = prompting.tool_choice(config.tool_choice if params.tool_choice is None else params.tool_choice)
        parallel = config.parallel_tool_calls if params.parallel_tool_calls is None else params.parallel_tool_calls
        request |= {} if choice in (None, "auto") else {"tool_choice": choice}
        request |= {} if parallel is None else {"parallel_tool_calls": parallel}
    if output.max_output_tokens != "inf":
        request["max_tokens"] = output.max_output_tokens
    temperature = config.temperature if params.temperature is None else params.temperature
    request |= {} if temperature is None else {"temperature": temperature}
    return GenerateText(request, config.truncation != "disabled")


def respond(state: State, response_id: str, output: OutputOptions, plan: SpeakText | GenerateText) -> Respond:
    """Return the effect that starts a response with the current voice of the session."""
    format = audio_format(output.format)
    model = state.model if state.defaults.knows_model(state.model) == "tts" else None
    config = state.config.audio.output
    return Respond(response_id, plan, output.has_audio, format, output.voice, model, config.speed, config.language)
