/** The client: every request to one server. */

import type { DiarizedTranscription, LiveEvent, ServerEvent, Transcription, VerboseTranscription, Voice } from "./bodies.js";
import { OpenSpeechError } from "./errors.js";
import { type Call, Http } from "./http.js";
import { type Chunks, LiveTranscription } from "./live.js";
import {
  type CallOptions,
  fieldsOf,
  formOf,
  type LiveOptions,
  type Media,
  type RealtimeOptions,
  type SpeechEventOptions,
  type SpeechOptions,
  speechFields,
  type TextFormat,
  type TranscriptionOptions,
  type TranslationOptions,
} from "./options.js";
import { RealtimeSession } from "./realtime.js";
import { Jobs, Models } from "./resources.js";
import { DEFAULT_RETRY, type Retry } from "./retry.js";
import type { WebSocketClass } from "./socket.js";

const AUDIO = "/v1/audio";

export interface ClientOptions {
  /** Address of the server, with or without `/v1`; an empty text is the server of the page. */
  baseUrl?: string;
  apiKey?: string;
  /** Additional headers of every request over HTTP. */
  headers?: Record<string, string>;
  /** Longest duration of a request in milliseconds, the response included. */
  timeoutMs?: number;
  retry?: Partial<Retry>;
  /** The class of WebSockets; the global one when omitted, and in Node before version 22 the one of this package. */
  WebSocket?: WebSocketClass;
  fetch?: typeof fetch;
}

/** A function that takes the next bytes; the next ones wait for its promise. */
export type Player = (chunk: Uint8Array) => unknown;

export class OpenSpeechClient {
  readonly models: Models;
  readonly jobs: Jobs;
  private readonly http: Http;
  private readonly WebSocket: WebSocketClass | undefined;

  constructor(options: ClientOptions = {}) {
    this.http = new Http({
      root: (options.baseUrl ?? "http://127.0.0.1:8100").replace(/\/+$/, "").replace(/\/v1$/, ""),
      apiKey: options.apiKey ?? null,
      headers: options.headers ?? {},
      timeoutMs: options.timeoutMs ?? 600_000,
      retry: { ...DEFAULT_RETRY, ...options.retry },
      fetch: options.fetch ?? fetch,
    });
    this.WebSocket = options.WebSocket ?? (globalThis.WebSocket as unknown as WebSocketClass | undefined);
    this.models = new Models(this.http);
    this.jobs = new Jobs(this.http);
  }

  /** Transcribe a file. Resolves to an object for the JSON formats, else to text. */
  transcribe(audio: Media, options: TranscriptionOptions & { responseFormat: "verbose_json" }): Promise<VerboseTranscription>;
  transcribe(audio: Media, options: TranscriptionOptions & { responseFormat: "diarized_json" }): Promise<DiarizedTranscription>;
  transcribe(audio: Media, options: TranscriptionOptions & { responseFormat: TextFormat }): Promise<string>;
  transcribe(audio: Media, options?: TranscriptionOptions & { responseFormat?: "json" }): Promise<Transcription>;
  transcribe(audio: Media, options: TranscriptionOptions = {}): Promise<unknown> {
    return this.http.parsed(upload("transcriptions", audio, options));
  }

  /** Transcribe a file; yield `transcript.text.delta` events while it is transcribed, then `transcript.text.done`. */
  transcribeEvents(audio: Media, options: TranscriptionOptions = {}): AsyncGenerator<ServerEvent, void, undefined> {
    return this.http.events(upload("transcriptions", audio, { model: "gpt-4o-transcribe", ...options }, { stream: true }));
  }

  /** Translate the speech in a file, in any language, into English text. */
  translate(audio: Media, options: TranslationOptions & { responseFormat: "verbose_json" }): Promise<VerboseTranscription>;
  translate(audio: Media, options: TranslationOptions & { responseFormat: TextFormat }): Promise<string>;
  translate(audio: Media, options?: TranslationOptions & { responseFormat?: "json" }): Promise<Transcription>;
  translate(audio: Media, options: TranslationOptions = {}): Promise<unknown> {
    return this.http.parsed(upload("translations", audio, options));
  }

  /** Synthesize a text; resolves to the file. */
  speak(text: string, options: SpeechOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.http.bytes(speech(text, options));
  }

  /** Synthesize a text; yield the file while it is synthesized. */
  speakStream(text: string, options: SpeechOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    return this.http.stream(speech(text, options));
  }

  /** Synthesize a text; yield `speech.audio.delta` events, and those that `timestamps`, `captions` and `progress` request. */
  speakEvents(text: string, options: SpeechEventOptions = {}): AsyncGenerator<ServerEvent, void, undefined> {
    return this.http.events(speech(text, options, { stream_format: "sse" }));
  }

  /** Synthesize a text and pass the file to a player meanwhile. */
  async play(text: string, player: Player, options: SpeechOptions = {}): Promise<void> {
    for await (const chunk of this.speakStream(text, options)) await player(chunk);
  }

  /** Return the voices of all models, or of one. */
  async voices(model?: string, options: CallOptions = {}): Promise<Voice[]> {
    const query: Record<string, string> = model === undefined ? {} : { model };
    return ((await this.http.parsed({ path: `${AUDIO}/voices`, query, signal: options.signal })) as { data: Voice[] }).data;
  }

  /** Open a Realtime session. It connects in the background; `ready` says when it has begun. */
  realtimeSession(options: RealtimeOptions = {}): RealtimeSession {
    return new RealtimeSession(this.socketClass(), this.http, options);
  }

  /**
   * Transcribe 16-bit mono PCM while it arrives; yield the events of the stream.
   *
   * A lost connection is opened again, and audio whose text is not final is sent again: no text is lost, and none is repeated.
   */
  streamTranscribe(chunks: Chunks, options: LiveOptions = {}): AsyncGenerator<LiveEvent, void, undefined> {
    return new LiveTranscription(this.socketClass(), this.http, chunks, options).run();
  }

  private socketClass(): WebSocketClass {
    if (!this.WebSocket) throw new OpenSpeechError("This environment has no WebSocket: pass a class as `WebSocket`.");
    return this.WebSocket;
  }
}

function upload(task: string, audio: Media, options: object & CallOptions, more: object = {}): Call {
  const body = formOf({ model: "whisper-1", ...fieldsOf(options), ...more }, [audio]);
  return { method: "POST", path: `${AUDIO}/${task}`, body, signal: options.signal };
}

function speech(text: string, options: SpeechOptions, more: object = {}): Call {
  return { method: "POST", path: `${AUDIO}/speech`, body: { ...speechFields(text, options), ...more }, signal: options.signal };
}
