/** The responses of the server, as they are sent. */

/** An event of a stream; its `type` says which. */
export type ServerEvent = { type: string } & Record<string, unknown>;

export interface DurationUsage {
  type: "duration";
  seconds: number;
}

/** A transcript in the format `json`. */
export interface Transcription {
  text: string;
  languages?: { code: string }[];
  logprobs?: { token: string; logprob: number; bytes: number[] }[];
  usage: DurationUsage;
}

/** A segment of `verbose_json`; times in seconds. */
export interface Segment {
  id: number;
  seek: number;
  start: number;
  end: number;
  text: string;
  tokens: number[];
  temperature: number;
  avg_logprob: number;
  compression_ratio: number;
  no_speech_prob: number;
  speaker?: string;
  channel?: number;
  language?: string;
}

/** A word of `verbose_json`; times in seconds. */
export interface Word {
  word: string;
  start: number;
  end: number;
  speaker?: string;
}

/** A transcript in the format `verbose_json`. */
export interface VerboseTranscription {
  task: "transcribe" | "translate";
  language: string;
  language_probability: number;
  duration: number;
  text: string;
  segments?: Segment[];
  words?: Word[];
  usage: DurationUsage;
}

/** A segment of one speaker; times in seconds. */
export interface DiarizedSegment {
  type: "transcript.text.segment";
  id: string;
  start: number;
  end: number;
  text: string;
  speaker: string;
  channel?: number;
}

/** A transcript in the format `diarized_json`. */
export interface DiarizedTranscription {
  task: "transcribe";
  duration: number;
  text: string;
  segments: DiarizedSegment[];
  usage: DurationUsage;
}

/** A voice; `id` is its name in requests. */
export interface Voice {
  id: string;
  name: string;
  object: "audio.voice";
  kind: "builtin" | "preset" | "library" | "alias";
  display_name?: string;
  description?: string;
  language?: string;
  gender?: string;
  model?: string;
  engine?: string;
  licence?: string;
  voice?: string;
  sample: string;
  created_at?: number;
  type?: "audio_sample";
  unusable?: string;
}

export interface ErrorDetail {
  message: string;
  type: string;
  param: string | null;
  code: string | null;
}

/** Progress of a download or a load; `percent` is null while the size is unknown. */
export interface Progress {
  what: "download" | "load";
  state: "waiting" | "checking" | "downloading" | "unpacking" | "loading" | "done";
  file: string;
  done_bytes: number;
  total_bytes: number | null;
  percent: number | null;
  source: string;
}

/** The state of a model at one replica of its backend. */
export interface ModelReplica {
  where: string;
  ready: boolean;
  reachable: boolean;
  state: "available" | "downloading" | "downloaded" | "loading" | "loaded";
  device: string | null;
  memory_bytes: number | null;
  last_use_s: number | null;
  in_flight: number;
}

/** The state of a model on the server. */
export interface Model {
  id: string;
  object: "model";
  task: "speech-to-text" | "text-to-speech" | "diarization" | "voice-activity-detection";
  backend: string;
  where: string;
  reachable: boolean;
  state: "available" | "downloading" | "downloaded" | "loading" | "loaded";
  default: boolean;
  description: string;
  licence: string;
  languages: string[];
  size_bytes: number | null;
  disk_bytes: number;
  device: string | null;
  memory_bytes: number | null;
  last_use_s: number | null;
  in_flight: number;
  progress: Progress | null;
  error: ErrorDetail | null;
  replicas: ModelReplica[];
}

/** A model whose files were deleted. */
export interface DeletedModel {
  id: string;
  object: "model.deleted";
  deleted: boolean;
  freed_bytes: number;
}

/** A job; times are Unix seconds, `progress` is in [0, 1]. */
export interface Job {
  id: string;
  object: "audio.job";
  type: "transcription" | "translation" | "speech";
  model: string;
  status: "queued" | "running" | "completed" | "failed" | "cancelled";
  progress: number;
  audio_seconds: number;
  audio_seconds_total: number | null;
  filename: string | null;
  batch_id: string | null;
  batch_index: number;
  created_at: number;
  started_at: number | null;
  finished_at: number | null;
  expires_at: number | null;
  error: ErrorDetail | null;
  result: { url: string; response_format: string; bytes: number } | null;
  webhook: {
    url: string;
    status: "waiting" | "pending" | "delivered" | "failed";
    attempts: number;
    last_error: string | null;
    next_attempt_at: number | null;
  } | null;
}

/** The result of a job: a JSON object, text, or the bytes of an audio file. */
export type JobOutput = Record<string, unknown> | string | Uint8Array;

/** A piece of a live transcript; times in seconds of the stream. A draft is replaced by the next message. */
export interface TranscriptEvent {
  type: "transcript";
  text: string;
  start: number;
  end: number;
  is_final: boolean;
  /** Whether the utterance ends with this text. */
  speech_final: boolean;
  confidence: number | null;
  language?: string | null;
}

/** An event of a live transcription. */
export type LiveEvent =
  | TranscriptEvent
  | { type: "vad"; state: "speech_start" | "speech_end"; at: number }
  | { type: "session.end"; duration: number }
  | ({ type: "session.begin"; session_id: string; model: string; sample_rate: number } & Record<string, unknown>)
  | { type: "error"; error: ErrorDetail };
