"""A runner that transcribes tones one call at a time, and takes a while for each: under load there are always calls under way."""

from __future__ import annotations

import time
from collections.abc import Iterator

from open_speech.audio import Audio
from open_speech.backends import TranscribeOptions
from open_speech.transcript import Segment, TranscriptInfo
from runners.tones import TonesTranscriber
from runners.wiring.bento_service import Resources, stt_service

CALL_S = 0.05


class SlowTranscriber(TonesTranscriber):
    """Recognizes tones after CALL_S seconds."""

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        time.sleep(CALL_S)
        return super().transcribe(audio, options)


Runner = stt_service("tones-stt", SlowTranscriber, Resources(threads=1))
