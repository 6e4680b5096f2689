"""Whisper on short windows: many in one batch, with no more context than their speech needs.

Whisper's encoder was trained on 30 seconds, and everyone pads to that. CTranslate2's takes fewer frames, and a clip of four seconds then
costs a fifth. Three things keep the model from losing itself in a short context: timestamp tokens, a limit on tokens by duration, and a
look at each result; one that looks bad is decoded again as Whisper's authors do it, alone, in 30 seconds, up the temperature ladder.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from open_speech.backends import STT_RATE, Heard, TranscribeOptions, Window
from open_speech.errors import SpeechError
from open_speech.transcript import Segment, Token, Word
from runners.whisper_options import (
    FEWEST_TOKENS,
    MOST_TOKENS,
    TOKENS_PER_SECOND,
    Piece,
    best_language,
    fit_prompt,
    looks_bad,
    split_at_times,
)

if TYPE_CHECKING:
    from faster_whisper import WhisperModel  # noqa: TID251 - for the type checker
    from faster_whisper.tokenizer import Tokenizer  # noqa: TID251 - for the type checker

SHORTEST = 1600
"""Samples: in less than 0.1 s nobody says anything."""
SILENT = 1e-4
"""Peak amplitude (-80 dB) below which nobody spoke; Whisper hears " You" in digital silence."""
SPARE_S = 2.0
"""Seconds of empty context after the speech. With 1 s the model needs the second pass more often; with 4 s the 13 clips of the bench had 6
word errors instead of one, for a quarter more CPU. (Windows that no speech detector has cut, noise at both ends, like 4 s better.)"""
FULL_FRAMES = 3000
"""Ten milliseconds each: Whisper's own 30 seconds."""
BEST_OF = 5
PATIENCE = 0.8
"""The beam search ends with 4 of 5 texts complete. Waiting for all of them lets it run on past the end of the speech, and now and then a
loop wins (36 clips with and without noise: 47 word errors against 59; an eighth less CPU). With 3 of 5 the shortest text wins too often,
and a sentence is lost."""
NO_SPEECH = 0.6
LEAST_LOGPROB = -1.0
_UNHEARD_S = 2.0
"""Speech that the model left off more than this long before the end of its window is decoded in a second round."""


@dataclass
class _Job:
    """One window on its way through the model."""

    at: int
    samples: NDArray[np.float32]
    options: TranscribeOptions
    language: str | None
    features: NDArray[np.float32]
    prompt: list[int] | None
    hotwords: str | None
    offset: float = 0.0
    probability: float = 1.0
    segments: list[Segment] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return len(self.samples) / STT_RATE

    @property
    def group(self) -> tuple[Any, ...]:
        """Jobs of one group go through the decoder together."""
        options = self.options
        aligned = options.word_times or options.logprobs
        alone = self.at if aligned and self.language is None else -1
        text = len(self.prompt or ()), len(self.hotwords or "") and self.hotwords
        return (*text, options.beam_size, options.temperatures[0], options.detect_only, aligned and self.language, alone)


@dataclass(frozen=True, slots=True)
class Figures:
    """How sure Whisper was of one window."""

    temperature: float
    logprob: float
    compression: float
    no_speech: float


@dataclass
class _Read:
    """What was read from one result, on its way to segments."""

    job: _Job
    tokenizer: Tokenizer
    pieces: list[Piece]
    encoded: Any
    """Its own encoder output, if it was decoded again."""
    figures: Figures
    words: list[tuple[Word, ...]] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)

    def raw(self) -> list[dict[str, Any]]:
        """Write the pieces as faster-whisper's aligner takes them, and adds the words to them."""
        return [{"seek": 0, "start": piece.start, "end": piece.end, "tokens": piece.tokens} for piece in self.pieces]

    def segments(self) -> list[Segment]:
        """Give the finished segments."""
        told = iter(self.probabilities)
        return [self._segment(piece, self.words[at] if self.words else (), told) for at, piece in enumerate(self.pieces)]

    def _segment(self, piece: Piece, words: tuple[Word, ...], told: Iterator[float]) -> Segment:
        logprobs = [_token(self.tokenizer, token, probability) for token, probability in zip(piece.tokens, told)]  # noqa: B905
        return Segment(
            start=words[0].start if words else piece.start,
            end=words[-1].end if words else piece.end,
            text=self.tokenizer.decode(piece.tokens),
            words=words,
            tokens=tuple(piece.tokens),
            temperature=self.figures.temperature,
            avg_logprob=self.figures.logprob,
            compression_ratio=self.figures.compression,
            no_speech_prob=self.figures.no_speech,
            logprobs=tuple(logprobs),
        )


class WindowDecoder:
    """Decodes windows on a loaded model; safe to call from as many threads as the model has workers."""

    def __init__(self, model: WhisperModel, languages: Sequence[str]) -> None:
        """`languages` are the codes that the model has a token for."""
        from faster_whisper.tokenizer import Tokenizer  # noqa: PLC0415, TID251 - every child process imports every runner module
        from faster_whisper.transcribe import get_compression_ratio, get_suppressed_tokens  # noqa: PLC0415, TID251 - as above

        self._model = model
        self._languages = list(languages)
        self._tokenizer_class = Tokenizer
        self._compression = get_compression_ratio
        self._tokenizers: dict[tuple[str, str], Tokenizer] = {}
        self._suppressed = list(get_suppressed_tokens(self._tokenizer(self._languages[0], "transcribe"), [-1]))

    def hear(self, windows: Sequence[Window], spoken: Sequence[str | None | SpeechError]) -> list[Heard | SpeechError]:
        """Decode windows together. `spoken` holds for each its language, None to detect it, or the error that is its result."""
        results: list[Heard | SpeechError] = [Heard("", 0.0)] * len(windows)
        jobs = []
        for at, (window, language) in enumerate(zip(windows, spoken, strict=True)):
            samples = window.audio.samples
            if isinstance(language, SpeechError):
                results[at] = language
            elif len(samples) < SHORTEST or np.abs(samples).max() < SILENT:
                results[at] = Heard(language or self._languages[0], 1.0 if language else 0.0)
            else:
                jobs.append(self._job(at, window, language))
        self._round(jobs)
        late = [rest for job in jobs if not job.options.draft and (rest := self._unheard(job)) is not None]
        self._round(late)
        for job in late:
            first = next(other for other in jobs if other.at == job.at)
            first.segments += [_moved(segment, job.offset) for segment in job.segments]
        for job in jobs:
            results[job.at] = Heard(job.language or self._languages[0], job.probability, tuple(job.segments))
        return results

    def _job(self, at: int, window: Window, language: str | None) -> _Job:
        prompt, hotwords = fit_prompt(self._model.hf_tokenizer, window.options.prompt, window.options.hotwords)
        features = self._model.feature_extractor(window.audio.samples)[:, :FULL_FRAMES]
        return _Job(at, window.audio.samples, window.options, language, features, prompt, hotwords)

    def _round(self, jobs: Sequence[_Job]) -> None:
        groups = defaultdict(list)
        for job in jobs:
            groups[job.group].append(job)
        for group in groups.values():
            self._decode(group)

    def _decode(self, jobs: Sequence[_Job]) -> None:
        frames = max(job.features.shape[1] for job in jobs) + round(SPARE_S * 100)
        encoded = self._encode(jobs, min(FULL_FRAMES, frames + frames % 2))
        self._detect(jobs, encoded)
        if jobs[0].options.detect_only:
            return
        prompts = [self._prompt(job) for job in jobs]
        spoken = max(job.seconds for job in jobs)
        limit = min(MOST_TOKENS, FEWEST_TOKENS + math.ceil(TOKENS_PER_SECOND * spoken))
        results = self._model.model.generate(
            encoded,
            prompts,
            max_length=len(prompts[0]) + limit,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=self._suppressed,
            **_search(jobs[0].options),
        )
        reads = [self._read(job, result) for job, result in zip(jobs, results, strict=True)]
        self._align(reads, encoded)
        for read in reads:
            read.job.segments += read.segments()

    def _encode(self, jobs: Sequence[_Job], frames: int) -> Any:
        import ctranslate2  # noqa: PLC0415, TID251 - every child process imports every runner module

        batch = np.zeros((len(jobs), jobs[0].features.shape[0], frames), np.float32)
        for row, job in enumerate(jobs):
            batch[row, :, : job.features.shape[1]] = job.features[:, :frames]
        return self._model.model.encode(ctranslate2.StorageView.from_array(batch))

    def _detect(self, jobs: Sequence[_Job], encoded: Any) -> None:
        """Name the language of the jobs that have none, from the encoder output that is decoded next."""
        if all(job.language for job in jobs):
            return
        if not self._model.model.is_multilingual:
            for job in jobs:
                job.language = self._languages[0]
            return
        for job, found in zip(jobs, self._model.model.detect_language(encoded), strict=True):
            if job.language is None:
                heard = {token[2:-2]: probability for token, probability in found}
                job.language, job.probability = best_language(heard, job.options.languages or self._languages)

    def _prompt(self, job: _Job) -> list[int]:
        tokenizer = self._tokenizer(job.language or self._languages[0], job.options.task)
        return list(self._model.get_prompt(tokenizer, job.prompt or [], hotwords=job.hotwords))

    def _tokenizer(self, language: str, task: str) -> Tokenizer:
        key = (language, task)
        if key not in self._tokenizers:
            multilingual = self._model.model.is_multilingual
            self._tokenizers[key] = self._tokenizer_class(self._model.hf_tokenizer, multilingual, task=task, language=language)
        return self._tokenizers[key]

    def _read(self, job: _Job, result: Any) -> _Read:
        """Read one result; decode it again if it looks bad, and drop it if nobody spoke."""
        tokenizer = self._tokenizer(job.language or self._languages[0], job.options.task)
        tokens = list(result.sequences_ids[0])
        logprob = result.scores[0] * len(tokens) / (len(tokens) + 1)
        ratio = self._compression(tokenizer.decode(tokens).strip())
        temperature = job.options.temperatures[0]
        encoded = None
        bad = looks_bad(tokens, tokenizer.eot, logprob, ratio)
        if bad and job.options.draft:
            return _Read(job, tokenizer, [], None, Figures(temperature, logprob, ratio, result.no_speech_prob))
        if bad:
            encoded = self._encode([job], FULL_FRAMES)
            options = _ladder(job.options, job.seconds, self._suppressed)
            result, logprob, temperature, ratio = self._model.generate_with_fallback(encoded, self._prompt(job), tokenizer, options)
            tokens = list(result.sequences_ids[0])
        spoken = result.no_speech_prob <= NO_SPEECH or logprob >= LEAST_LOGPROB
        found = split_at_times(tokens, tokenizer.timestamp_begin, tokenizer.eot, job.seconds) if spoken else []
        pieces = [piece for piece in found if tokenizer.decode(piece.tokens).strip()]
        return _Read(job, tokenizer, pieces, encoded, Figures(temperature, logprob, ratio, result.no_speech_prob))

    def _align(self, reads: Sequence[_Read], encoded: Any) -> None:
        """Find the words' times and the tokens' probabilities, where they are asked for."""
        wanted = reads[0].job.options
        if not (wanted.word_times or wanted.logprobs):
            return
        # The aligner takes a text for each row of the encoder output; where a row has none, or was decoded again, each goes alone.
        together = all(read.pieces and read.encoded is None for read in reads)
        rows = [read for read in reads if read.pieces]
        for group in [rows] if together else [[read] for read in rows]:
            if not together:
                own = group[0].encoded
                encoded = self._encode([group[0].job], FULL_FRAMES) if own is None else own
            frames = [read.job.features.shape[1] for read in group]
            tokenizer = group[0].tokenizer
            if wanted.word_times:
                raw = [read.raw() for read in group]
                self._model.add_word_timestamps(raw, tokenizer, encoded, frames, _BEFORE, _AFTER, 0.0)
                for read, segments in zip(group, raw, strict=True):
                    read.words = [_words(segment.get("words", ()), read.job.seconds) for segment in segments]
            if wanted.logprobs:
                texts = [[token for piece in read.pieces for token in piece.tokens] for read in group]
                found = self._model.model.align(encoded, tokenizer.sot_sequence, texts, frames)
                for read, alignment in zip(group, found, strict=True):
                    read.probabilities = list(alignment.text_token_probs)

    def _unheard(self, job: _Job) -> _Job | None:
        """Make a job of the end of a window that the model left off, if there is a good deal of it."""
        heard = job.segments[-1].end if job.segments else job.seconds
        if job.seconds - heard <= _UNHEARD_S:
            return None
        samples = job.samples[round(heard * STT_RATE) :]
        features = self._model.feature_extractor(samples)[:, :FULL_FRAMES]
        return replace(job, samples=samples, features=features, offset=heard, segments=[])


_BEFORE = "\"'“¿([{-"
_AFTER = "\"'.。,，!！?？:：”)]}、"
"""Marks that belong to the next and to the last word."""


def _search(options: TranscribeOptions) -> dict[str, Any]:
    temperature = options.temperatures[0]
    if temperature > 0:
        return {"beam_size": 1, "num_hypotheses": BEST_OF, "sampling_topk": 0, "sampling_temperature": temperature}
    return {"beam_size": options.beam_size, "patience": PATIENCE}


def _ladder(options: TranscribeOptions, seconds: float, suppressed: list[int]) -> Any:
    """Say the request as faster-whisper's own decoder takes it."""
    from faster_whisper.transcribe import TranscriptionOptions  # noqa: PLC0415, TID251 - every child process imports this module

    return TranscriptionOptions(
        beam_size=options.beam_size, best_of=BEST_OF, patience=1, length_penalty=1, repetition_penalty=1, no_repeat_ngram_size=0,
        log_prob_threshold=LEAST_LOGPROB, no_speech_threshold=NO_SPEECH, compression_ratio_threshold=2.4,
        condition_on_previous_text=False, prompt_reset_on_temperature=0.5, temperatures=list(options.temperatures),
        initial_prompt=None, prefix=None, suppress_blank=True, suppress_tokens=suppressed, without_timestamps=False,
        max_initial_timestamp=1.0, word_timestamps=False, prepend_punctuations=_BEFORE, append_punctuations=_AFTER, multilingual=False,
        max_new_tokens=min(MOST_TOKENS, FEWEST_TOKENS + math.ceil(TOKENS_PER_SECOND * seconds)), clip_timestamps=[0.0],
        hallucination_silence_threshold=None, hotwords=None,
    )  # fmt: skip


def _words(raw: Sequence[dict[str, Any]], seconds: float) -> tuple[Word, ...]:
    """Read aligned words, their times made monotone and kept within the window."""
    words: list[Word] = []
    last = 0.0
    for word in raw:
        start = min(max(float(word["start"]), last), seconds)
        last = min(max(float(word["end"]), start), seconds)
        words.append(Word(word["word"], start, last, float(word["probability"])))
    return tuple(words)


def _token(tokenizer: Tokenizer, token: int, probability: float) -> Token:
    return Token(tokenizer.decode([token]), math.log(max(probability, 1e-10)))


def _moved(segment: Segment, by: float) -> Segment:
    words = tuple(replace(word, start=word.start + by, end=word.end + by) for word in segment.words)
    return replace(segment, start=segment.start + by, end=segment.end + by, words=words)
