"""The engine of a server: the parts that all APIs share, built once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.fallback import NO_FALLBACK, FallbackModels
from open_speech.dispatch.pool import RunnerPool
from open_speech.metrics.meter import Meter
from open_speech.recognition.live.turn_decider import TurnDecider
from open_speech.recognition.request import RecognitionDefaults
from open_speech.recognition.service import Recognition
from open_speech.recognition.vad import SpeechModel
from open_speech.registry import Registry
from open_speech.synthesis.cache import SpeechCache
from open_speech.synthesis.plan import SynthesisDefaults
from open_speech.synthesis.service import Synthesis
from open_speech.text.pronunciation import Pronunciation
from open_speech.voices import VoiceResolver


class Engine:
    """Speech to text (`recognition`) and text to speech (`synthesis`), over the runners of this server (`pool`)."""

    def __init__(  # noqa: PLR0913 - one keyword for each optional part of a server
        self,
        registry: Registry,
        clients: Mapping[str, RunnerClient],
        *,
        detector: Callable[[], SpeechModel],
        recognition: RecognitionDefaults,
        synthesis: SynthesisDefaults,
        max_queue: int,
        patience_s: float = 30.0,
        voices: VoiceResolver | None = None,
        cache: SpeechCache | None = None,
        pronunciation: Pronunciation | None = None,
        meter: Meter | None = None,
        stt_fallback: FallbackModels = NO_FALLBACK,
        tts_fallback: FallbackModels = NO_FALLBACK,
        turns: TurnDecider | None = None,
    ) -> None:
        """`detector` opens the speech detector. It blocks, and is called for the first audio. `turns` decides when a turn is complete.

        `voices` adds voices to those of the models. Without `cache`, all speech is synthesized anew. Raises UnknownModel, NotInstalled or
        WrongTask for a fallback model that this server cannot use.
        """
        self.registry = registry
        self.meter = meter or Meter()
        self.meter.learn(registry)
        self.voices = voices or VoiceResolver(registry)
        self.pool = RunnerPool(registry, clients, max_queue=max_queue, patience_s=patience_s)
        self.recognition = Recognition(self.pool, recognition, detector=detector, meter=self.meter, fallback=stt_fallback, turns=turns)
        self.synthesis = Synthesis(
            self.pool,
            synthesis,
            voices=self.voices,
            cache=cache,
            pronunciation=pronunciation,
            meter=self.meter,
            fallback=tts_fallback,
        )
