/** The options of requests: the fields of the REST API, in camel case. */

export type TextFormat = "text" | "srt" | "vtt";
export type TranscriptFormat = "json" | "verbose_json" | "diarized_json" | TextFormat;
export type AudioFormat = "mp3" | "opus" | "aac" | "flac" | "wav" | "pcm";

/** An audio or video file. In Node, `await fs.openAsBlob(path)` reads a file without loading it. */
export type Media = Blob | ArrayBuffer | ArrayBufferView<ArrayBuffer>;

/** Options that are no part of the request. */
export interface CallOptions {
  /** Aborts the request. */
  signal?: AbortSignal;
}

export interface MediaOptions extends CallOptions {
  model?: string;
  /** Preceding text, or text in the desired style. */
  prompt?: string;
  /** Sampling temperature in [0, 1]. */
  temperature?: number;
  /** Whether the channels of a file are mixed or transcribed separately. */
  channels?: "mix" | "separate" | "auto";
  multichannel?: boolean;
  noiseReduce?: boolean;
  normalize?: boolean;
  /** Subtitles: maximum number of characters per line. */
  maxLineWidth?: number;
  maxLineCount?: number;
  maxCharsPerSecond?: number;
  minGapMs?: number;
}

export interface TranslationOptions extends MediaOptions {
  responseFormat?: Exclude<TranscriptFormat, "diarized_json">;
}

export interface TranscriptionOptions extends MediaOptions {
  responseFormat?: TranscriptFormat;
  /** ISO 639 code or English name; detected when omitted. */
  language?: string;
  /** Candidates for the detection. */
  languages?: readonly string[];
  keywords?: readonly string[];
  hotwords?: string;
  timestampGranularities?: readonly ("word" | "segment")[];
  include?: readonly "logprobs"[];
  chunkingStrategy?: "auto" | Readonly<Record<string, unknown>>;
  vadFilter?: boolean;
  conditionOnPreviousText?: boolean;
  diarize?: boolean;
  minSpeakers?: number;
  maxSpeakers?: number;
  knownSpeakerNames?: readonly string[];
  /** Data URLs with 2 to 10 seconds of speech of each known speaker. */
  knownSpeakerReferences?: readonly string[];
}

export interface SpeechOptions extends CallOptions {
  model?: string;
  voice?: string;
  inputType?: "text" | "ssml";
  instructions?: string;
  responseFormat?: AudioFormat;
  /** In [0.25, 4]. */
  speed?: number;
  language?: string;
  /** Hertz, 8000 to 48000. */
  sampleRate?: number;
  /** False bypasses the speech cache of the server. */
  cache?: boolean;
  /** Recording of the voice to clone: bytes of a file, or base64. */
  referenceAudio?: string | Uint8Array;
  referenceText?: string;
  voiceDesign?: string;
  ignoreUnsupported?: boolean;
}

export interface SpeechEventOptions extends SpeechOptions {
  timestamps?: "word";
  captions?: "vtt" | "srt";
  progress?: boolean;
}

interface JobFields {
  webhookUrl?: string;
  webhookInclude?: "result";
  /** Two submissions with the same key create one job; when omitted, each submission has its own. */
  idempotencyKey?: string;
}

export interface TranscriptionJobOptions extends TranscriptionOptions, JobFields {
  type?: "transcription" | "translation";
}

export interface SpeechJobOptions extends SpeechOptions, JobFields {}

export interface JobFilters extends CallOptions {
  status?: string;
  type?: string;
  batchId?: string;
  limit?: number;
  after?: string;
}

export interface LiveOptions extends CallOptions {
  model?: string;
  language?: string;
  /** Hertz, 8000 to 192000; 16000 when omitted. */
  sampleRate?: number;
  /** Whether drafts are received. */
  interimResults?: boolean;
  /** Whether silence ends an utterance; the server's setting when omitted. */
  vad?: boolean;
  /** Milliseconds of silence that end an utterance, 100 to 10000. */
  endpointing?: number;
  /** Whether an utterance ends after that silence, or when the speaker has finished by meaning; `timer` when omitted. */
  turnDetection?: "timer" | "semantic";
  /** How soon a semantic utterance ends that is not finished: after 8, 4, 2 or 4 seconds of silence. */
  eagerness?: "low" | "medium" | "high" | "auto";
  /** Whether each final transcript has its speaker. */
  diarize?: boolean;
  /** Maximum number of speakers that are told apart. */
  maxSpeakers?: number;
  prompt?: string;
  hotwords?: string;
  /** Milliseconds for which a lost connection is opened again; 0: not at all. 60000 when omitted. */
  reconnectMs?: number;
}

export interface RealtimeOptions {
  /** A language model, or a text-to-speech model whose voices are used; the server's own when omitted. */
  model?: string;
  /** The model that transcribes the input; null disables transcription. */
  transcriptionModel?: string | null;
  language?: string;
  voice?: string;
  speed?: number;
  /** Hertz of the audio in both directions, 8000 to 48000; 24000 when omitted. */
  sampleRate?: number;
  /** How the server detects turns; null leaves the turns to `commit`. */
  turnDetection?: Readonly<Record<string, unknown>> | null;
  /** Whether the language model of the server answers each turn. */
  respond?: boolean;
  /** Instructions for the language model. */
  instructions?: string;
}

/** Rename options to the fields of the API; leave out what is undefined. */
export function fieldsOf(options: object): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && name !== "signal") fields[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)] = value;
  }
  return fields;
}

/** Return the fields of a form: lists and objects as JSON. */
export function formOf(fields: Record<string, unknown>, media: readonly Media[]): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    form.set(name, typeof value === "object" ? JSON.stringify(value) : String(value));
  }
  for (const one of media) form.append("file", one instanceof Blob ? one : new Blob([one]), one instanceof File ? one.name : "audio");
  return form;
}

/** Return the fields of a speech request; a recording is sent in base64. */
export function speechFields(text: string, options: SpeechOptions): Record<string, unknown> {
  const reference = options.referenceAudio;
  const fields = fieldsOf({ model: "tts-1", ...options, input: text });
  return reference instanceof Uint8Array ? { ...fields, reference_audio: base64(reference) } : fields;
}

const STEP = 0x8000;

/** Encode bytes in base64. */
export function base64(data: Uint8Array): string {
  const parts: string[] = [];
  for (let start = 0; start < data.length; start += STEP) parts.push(String.fromCharCode(...data.subarray(start, start + STEP)));
  return btoa(parts.join(""));
}

/** Decode base64. */
export function unbase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Return the bytes of a buffer or of a view of one. */
export function bytes(data: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
}
