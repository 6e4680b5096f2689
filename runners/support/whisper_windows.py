"""Whisper on short windows: many in one batch, with no more context than their speech needs.

Whisper's encoder was trained on 30 seconds, and other implementations pad to that. CTranslate2's accepts fewer frames, and a clip of four
seconds then costs a fifth. Windows with very little speech get all 30 seconds (BRIEF_S). For the others, three measures prevent bad results
in a short context: timestamp tokens, a token limit by duration, and a check of each result. A window with a bad result is decoded again as
Whisper's authors do it: alone, in 30 seconds, at rising temperatures.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from open_speech.backends import STT_RATE, TranscribeOptions, Window, WindowResult
from open_speech.errors import SpeechError
from runners.support.whisper_checks import (
    LEAST_LOGPROB,
    Attempt,
    Figures,
    Flaw,
    better,
    is_doubled,
    is_sparse,
    left_out,
    looks_bad,
    says_more,
    stretches,
)
from runners.support.whisper_job import AFTER, BEFORE, Job, Read, moved, words_of
from runners.support.whisper_options import (
    FEWEST_TOKENS,
    MOST_TOKENS,
    TOKENS_PER_SECOND,
    Spoken,
    fit_prompt,
    passages,
    split_at_times,
    spoken_in,
)
from runners.support.whisper_repeats import agree, miscounted

if TYPE_CHECKING:
    from faster_whisper import WhisperModel  # noqa: TID251 - for the type checker
    from faster_whisper.tokenizer import Tokenizer  # noqa: TID251 - for the type checker

SHORTEST = 1600
"""Samples (0.1 s) below which a window contains no word."""
SILENT = 1e-4
"""Peak amplitude (-80 dB) below which there is no speech; Whisper transcribes digital silence as " You"."""
SPARE_S = 2.0
"""Seconds of empty context after the speech. With 1 s more windows need a second decoding; with 4 s the 13 clips of the benchmark had 6
word errors instead of one, with a quarter more CPU. (For windows without speech detection, with noise at both ends, 4 s are better.)"""
FULL_FRAMES = 3000
"""Whisper's own 30 seconds, in frames of 10 ms."""
BEST_OF = 5
PATIENCE = 0.8
"""The beam search ends when 4 of 5 texts are complete. A search for all 5 continues past the end of the speech, and sometimes selects a
loop (36 clips with and without noise: 47 word errors against 59; an eighth less CPU). With 3 of 5 the shortest text is selected too often,
and a sentence is lost."""
NO_SPEECH = 0.6
AGAIN_BEAM = 5
REPEATED_TOKENS = 4
"""Length of token sequences that may not be repeated in the last decoding of a window, against loops."""
ONE_LANGUAGE = 0.99
"""Probability of a language from which a window is not searched for another one: joined pairs of five languages had 0.98 at most."""
PASSAGE_APART_S, PASSAGE_S = 0.5, 1.5
"""Minimum seconds of silence at which the language may change, and minimum seconds of speech in one language."""
_UNHEARD_S = 2.0
"""Seconds after the end of the text above which the rest of a window without speech detection is decoded in a second round."""


class WindowDecoder:
    """A decoder of windows on a loaded model; safe to call from as many threads as the model has workers."""

    def __init__(self, model: WhisperModel, languages: Sequence[str]) -> None:
        """`languages` are the codes of the languages that the model has a token for."""
        from faster_whisper.tokenizer import Tokenizer  # noqa: PLC0415, TID251 - every child process imports every runner module
        from faster_whisper.transcribe import get_compression_ratio, get_suppressed_tokens  # noqa: PLC0415, TID251 - as above

        self._model = model
        self._languages = list(languages)
        self._tokenizer_class = Tokenizer
        self._compression = get_compression_ratio
        self._tokenizers: dict[tuple[str, str], Tokenizer] = {}
        self._suppressed = list(get_suppressed_tokens(self._tokenizer(self._languages[0], "transcribe"), [-1]))

    def transcribe_windows(self, windows: Sequence[Window], spoken: Sequence[str | None | SpeechError]) -> list[WindowResult | SpeechError]:
        """Decode windows together. `spoken` has for each window its language, None to detect it, or the error to return as its result."""
        results: list[WindowResult | SpeechError] = [WindowResult("", 0.0)] * len(windows)
        jobs = []
        for at, (window, language) in enumerate(zip(windows, spoken, strict=True)):
            samples = window.audio.samples
            if isinstance(language, SpeechError):
                results[at] = language
            elif len(samples) < SHORTEST or np.abs(samples).max() < SILENT:
                results[at] = WindowResult(language or self._languages[0], 1.0 if language else 0.0)
            else:
                jobs.append(self._job(at, window, language))
        self._round(jobs)
        self._decode_passages([job for job in jobs if spoken[job.at] is None and not (job.options.detect_only or job.options.draft)])
        self._decode_parts([job for job in jobs if job.is_sparse and not job.options.draft])
        self._decode_repeats([job for job in jobs if not (job.options.draft or job.options.detect_only)])
        late = [rest for job in jobs if not job.options.draft and (rest := self._unheard(job)) is not None]
        self._round(late)
        for job in late:
            first = next(other for other in jobs if other.at == job.at)
            first.segments += [moved(segment, job.offset) for segment in job.segments]
        for job in jobs:
            results[job.at] = WindowResult(job.language or self._languages[0], job.probability, tuple(job.segments))
        return results

    def _job(self, at: int, window: Window, language: str | None) -> Job:
        prompt, hotwords = fit_prompt(self._model.hf_tokenizer, window.options.prompt, window.options.hotwords)
        features = self._model.feature_extractor(window.audio.samples)[:, :FULL_FRAMES]
        return Job(at, window.audio.samples, window.options, language, features, prompt, hotwords, speech=window.speech)

    def _round(self, jobs: Sequence[Job]) -> None:
        groups = defaultdict(list)
        for job in jobs:
            groups[job.group].append(job)
        for group in groups.values():
            self._decode(group)

    def _decode(self, jobs: Sequence[Job]) -> None:
        encoded = self._encode(jobs, _frames_for(jobs))
        self._detect(jobs, encoded)
        if jobs[0].options.detect_only:
            return
        results = self._generate(encoded, jobs, _search(jobs[0].options))
        reads = [self._read(job, result) for job, result in zip(jobs, results, strict=True)]
        self._align(reads, encoded)
        for read in reads:
            read.job.segments += read.segments()

    def _generate(self, encoded: Any, jobs: Sequence[Job], search: dict[str, Any]) -> Sequence[Any]:
        prompts = [self._prompt(job) for job in jobs]
        spoken = max(job.seconds for job in jobs)
        limit = min(MOST_TOKENS, FEWEST_TOKENS + math.ceil(TOKENS_PER_SECOND * spoken))
        results: Sequence[Any] = self._model.model.generate(
            encoded,
            prompts,
            max_length=len(prompts[0]) + limit,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=self._suppressed,
            **search,
        )
        return results

    def _encode(self, jobs: Sequence[Job], frames: int) -> Any:
        import ctranslate2  # noqa: PLC0415, TID251 - every child process imports every runner module

        batch = np.zeros((len(jobs), jobs[0].features.shape[0], frames), np.float32)
        for row, job in enumerate(jobs):
            batch[row, :, : job.features.shape[1]] = job.features[:, :frames]
        return self._model.model.encode(ctranslate2.StorageView.from_array(batch))

    def _detect(self, jobs: Sequence[Job], encoded: Any) -> None:
        """Set the language of the jobs without one, detected from the encoder output that is decoded next."""
        if all(job.language for job in jobs):
            return
        if not self._model.model.is_multilingual:
            for job in jobs:
                job.language = self._languages[0]
            return
        for job, found in zip(jobs, self._model.model.detect_language(encoded), strict=True):
            if job.language is None:
                heard = {token[2:-2]: probability for token, probability in found}
                allowed = job.options.languages or self._languages
                job.language, job.probability = spoken_in(heard, allowed, job.options.expected, job.seconds)

    def _prompt(self, job: Job) -> list[int]:
        return list(self._model.get_prompt(self._tokenizer_of(job), job.prompt or [], hotwords=job.hotwords))

    def _tokenizer_of(self, job: Job) -> Tokenizer:
        return self._tokenizer(job.language or self._languages[0], job.options.task)

    def _tokenizer(self, language: str, task: str) -> Tokenizer:
        key = (language, task)
        if key not in self._tokenizers:
            multilingual = self._model.model.is_multilingual
            self._tokenizers[key] = self._tokenizer_class(self._model.hf_tokenizer, multilingual, task=task, language=language)
        return self._tokenizers[key]

    def _read(self, job: Job, result: Any) -> Read:
        """Parse one result; decode the window again if the result has a flaw, and drop the text if there is no speech."""
        attempt = self._attempt(job, result, job.options.temperatures[0])
        if job.options.draft:
            ends = attempt.pieces[-1].end if attempt.pieces else job.seconds
            if attempt.flaw is not Flaw.NONE or left_out(job.speech, ends) is not None:
                attempt = replace(attempt, pieces=())
        elif attempt.flaw is not Flaw.NONE:
            for again in self._again(job, attempt.flaw):
                attempt = better(attempt, again)
                if attempt.flaw is Flaw.NONE:
                    break
        job.is_sparse = attempt.flaw is Flaw.SPARSE
        return Read(job, self._tokenizer_of(job), list(attempt.pieces), attempt.encoded, attempt.figures)

    def _attempt(self, job: Job, result: Any, temperature: float, encoded: Any = None) -> Attempt:
        tokenizer = self._tokenizer_of(job)
        tokens = list(result.sequences_ids[0])
        logprob = result.scores[0] * len(tokens) / (len(tokens) + 1)
        ratio = self._compression(tokenizer.decode(tokens).strip())
        spoken = result.no_speech_prob <= NO_SPEECH or logprob >= LEAST_LOGPROB
        found = split_at_times(tokens, tokenizer.timestamp_begin, tokenizer.eot, job.seconds) if spoken else []
        pieces = tuple(piece for piece in found if any(map(str.isalnum, tokenizer.decode(piece.tokens))))
        text = [token for token in tokens if token < tokenizer.eot]
        flaw = Flaw.NONE
        if looks_bad(tokens, tokenizer.eot, logprob, ratio, job.speech) or is_doubled(text, job.speech):
            flaw = Flaw.BAD
        elif is_sparse(pieces, job.speech):
            flaw = Flaw.SPARSE
        return Attempt(pieces, Figures(temperature, logprob, ratio, result.no_speech_prob), flaw, encoded)

    def _again(self, job: Job, flaw: Flaw) -> Iterator[Attempt]:
        """Decode a window again, alone and in Whisper's own 30 seconds: at most twice, and with reproducible results at temperature 0.

        Sampling, as OpenAI does it, returned other words from run to run, and took up to 30 s for a clip of 5 s.
        """
        encoded = self._encode([job], FULL_FRAMES)
        options = job.options
        if options.temperatures[0] > 0:
            tokenizer, asked = self._tokenizer_of(job), _ladder(options, job.seconds, self._suppressed)
            result, _, temperature, _ = self._model.generate_with_fallback(encoded, self._prompt(job), tokenizer, asked)
            yield self._attempt(job, result, temperature, encoded)
            return
        search = {"beam_size": max(options.beam_size, AGAIN_BEAM), "patience": 1.0}
        yield self._attempt(job, self._generate(encoded, [job], search)[0], 0.0, encoded)
        if len(options.temperatures) > 1 and flaw is Flaw.BAD:
            bare = replace(job, prompt=None, hotwords=None)
            yield self._attempt(job, self._generate(encoded, [bare], search | {"no_repeat_ngram_size": REPEATED_TOKENS})[0], 0.0, encoded)

    def _align(self, reads: Sequence[Read], encoded: Any) -> None:
        """Add the times of words and the probabilities of tokens, if they are requested."""
        wanted = reads[0].job.options
        if not (wanted.word_times or wanted.logprobs):
            return
        # The aligner requires a text for each row of the encoder output; if a row has none, or was decoded again, each is aligned alone.
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
                self._model.add_word_timestamps(raw, tokenizer, encoded, frames, BEFORE, AFTER, 0.0)
                for read, segments in zip(group, raw, strict=True):
                    read.words = [words_of(segment.get("words", ()), read.job.seconds) for segment in segments]
            if wanted.logprobs:
                texts = [[token for piece in read.pieces for token in piece.tokens] for read in group]
                found = self._model.model.align(encoded, tokenizer.sot_sequence, texts, frames)
                for read, alignment in zip(group, found, strict=True):
                    read.probabilities = list(alignment.text_token_probs)

    def _decode_parts(self, jobs: Sequence[Job]) -> None:
        """Decode each part of these windows separately; the result replaces that of the whole window if it has more words."""
        parts = {job.at: [self._part(job, *times) for times in stretches(job.speech, job.seconds)] for job in jobs}
        self._round([part for found in parts.values() if len(found) > 1 for part in found])
        for job in jobs:
            found = [moved(segment, part.offset) for part in parts[job.at] for segment in part.segments]
            if says_more(found, job.segments):
                job.segments = found

    def _decode_repeats(self, jobs: Sequence[Job]) -> None:
        """Decode each repetition of a sentence separately, if the text has another number of repetitions than the speech."""
        for job in jobs:
            cut = miscounted("".join(segment.text for segment in job.segments), job.speech, job.seconds)
            parts = [self._part(job, *times) for times in cut]
            self._round(parts)
            if parts and agree(["".join(segment.text for segment in part.segments) for part in parts]):
                job.segments = [moved(segment, part.offset) for part in parts for segment in part.segments]

    def _decode_passages(self, jobs: Sequence[Job]) -> None:
        """Find windows in which the language changes, and decode each passage in its own language."""
        for job in jobs:
            cut = stretches(job.speech, job.seconds, apart_s=PASSAGE_APART_S, part_s=PASSAGE_S)
            if job.probability >= ONE_LANGUAGE or len(cut) < 2 or not self._model.model.is_multilingual:
                continue
            parts = [replace(self._part(job, *times), language=None, options=replace(job.options, expected=None)) for times in cut]
            for part in parts:
                self._detect([part], self._encode([part], _frames_for([part])))
            spoken = passages([Spoken(*times, part.language or "", part.probability) for times, part in zip(cut, parts, strict=True)])
            if len(spoken) > 1:
                found = [replace(self._part(job, each.start, each.end), language=each.language) for each in spoken]
                self._round(found)
                job.segments = [replace(moved(segment, part.offset), language=part.language) for part in found for segment in part.segments]
                job.is_sparse = False

    def _part(self, job: Job, start: float, end: float) -> Job:
        samples = job.samples[round(start * STT_RATE) : round(end * STT_RATE)]
        features = self._model.feature_extractor(samples)[:, :FULL_FRAMES]
        return replace(job, samples=samples, features=features, offset=start, speech=(), segments=[])

    def _unheard(self, job: Job) -> Job | None:
        """Return a job for the untranscribed end of a window; None if there is little or none."""
        if not job.segments:
            return None
        heard = job.segments[-1].end
        start = left_out(job.speech, heard)
        if not job.speech and job.seconds - heard > _UNHEARD_S:
            start = heard
        return None if start is None else self._part(job, start, job.seconds)


def _frames_for(jobs: Sequence[Job]) -> int:
    """Return the length of the context in which these jobs are decoded together, in frames."""
    if any(job.is_brief for job in jobs):
        return FULL_FRAMES
    frames = max(job.features.shape[1] for job in jobs) + round(SPARE_S * 100)
    return min(FULL_FRAMES, int(frames + frames % 2))


def _search(options: TranscribeOptions) -> dict[str, Any]:
    temperature = options.temperatures[0]
    if temperature > 0:
        return {"beam_size": 1, "num_hypotheses": BEST_OF, "sampling_topk": 0, "sampling_temperature": temperature}
    return {"beam_size": options.beam_size, "patience": PATIENCE}


def _ladder(options: TranscribeOptions, seconds: float, suppressed: list[int]) -> Any:
    """Return the options of faster-whisper's own decoder for a request."""
    from faster_whisper.transcribe import TranscriptionOptions  # noqa: PLC0415, TID251 - every child process imports this module

    return TranscriptionOptions(
        beam_size=options.beam_size, best_of=BEST_OF, patience=1, length_penalty=1, repetition_penalty=1, no_repeat_ngram_size=0,
        log_prob_threshold=LEAST_LOGPROB, no_speech_threshold=NO_SPEECH, compression_ratio_threshold=2.4,
        condition_on_previous_text=False, prompt_reset_on_temperature=0.5, temperatures=list(options.temperatures),
        initial_prompt=None, prefix=None, suppress_blank=True, suppress_tokens=suppressed, without_timestamps=False,
        max_initial_timestamp=1.0, word_timestamps=False, prepend_punctuations=BEFORE, append_punctuations=AFTER, multilingual=False,
        max_new_tokens=min(MOST_TOKENS, FEWEST_TOKENS + math.ceil(TOKENS_PER_SECOND * seconds)), clip_timestamps=[0.0],
        hallucination_silence_threshold=None, hotwords=None,
    )  # fmt: skip
