"""A validated body of a transcription or translation -> RecognitionRequest."""

from __future__ import annotations

from dataclasses import replace

from open_speech.api.openai.known_speakers import diarization
from open_speech.api.openai.transcription_request import TranscriptionRequest, TranslationRequest
from open_speech.backends import Task
from open_speech.config import Settings
from open_speech.dispatch.pool import RunnerPool
from open_speech.recognition.request import RecognitionRequest


async def recognition_request(body: TranscriptionRequest | TranslationRequest, pool: RunnerPool, settings: Settings) -> RecognitionRequest:
    """Convert the body of a request. Raises subclasses of InvalidRequest naming the field, and the errors of RunnerPool.usable."""
    times_words = (await pool.usable(body.model, Task.STT)).word_times
    if isinstance(body, TranscriptionRequest):
        options, diarize = body.options(settings.vad), await diarization(body)
    else:
        options, diarize = body.options(), None
    # Word timestamps are not required, but make two positions exact: where a subtitle is divided, and where a speaker ends.
    benefits = diarize is not None or (body.shape is not None and body.response_format in ("srt", "vtt"))
    options = replace(options, word_times=options.word_times or (benefits and times_words))
    return RecognitionRequest(body.model, options, diarize, body.cleaning(settings), channels=body.channel_mode)
