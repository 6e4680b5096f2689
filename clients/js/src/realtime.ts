/** A session of the Realtime API: audio in, transcripts and speech out, through callbacks. */

import type { ServerEvent } from "./bodies.js";
import { ConnectionFailed, errorOfEvent, type OpenSpeechError, OpenSpeechError as BaseError } from "./errors.js";
import type { Http } from "./http.js";
import { base64, bytes, type RealtimeOptions, unbase64 } from "./options.js";
import { PendingWork } from "./pending.js";
import { Connection, type WebSocketClass } from "./socket.js";

const PATH = "/v1/realtime";
const DEFAULT_MODEL = "gpt-realtime";
const PCM_RATE = 24_000;
/** Maximum bytes of audio in one event; the server accepts 15 MiB. */
const PART_BYTES = 1 << 20;
const CLOSE_MS = 30_000;

/** A completed transcript of a turn. */
export type TranscriptionCompleted = ServerEvent & { item_id: string; transcript: string };

interface Callbacks {
  transcript: ((event: TranscriptionCompleted) => unknown)[];
  vad: ((event: ServerEvent) => unknown)[];
  audio: ((pcm: Uint8Array) => unknown)[];
  error: ((error: OpenSpeechError) => unknown)[];
  event: ((event: ServerEvent) => unknown)[];
}

/**
 * One session. It connects in the background: what is sent before is sent when the session has begun, and `ready` says when that is.
 * The conversation is state of the connection, so a lost connection ends the session: `onError` receives ConnectionFailed.
 */
export class RealtimeSession {
  /** Resolves when the session has begun; rejects with the error that prevented it. */
  readonly ready: Promise<void>;
  private readonly callbacks: Callbacks = { transcript: [], vad: [], audio: [], error: [], event: [] };
  private readonly pending = new PendingWork();
  private connection: Connection | null = null;
  private waiting: Record<string, unknown>[] | null = [];
  private changed: (() => void) | null = null;
  private closing = false;
  private ended = false;
  private count = 0;
  private readonly reading: Promise<void>;

  constructor(Class: WebSocketClass, http: Http, options: RealtimeOptions) {
    this.ready = this.begin(Class, http, options);
    this.reading = this.ready.then(() => this.read()).catch((error: unknown) => this.failed(error));
  }

  /** Call a function with each completed transcript. */
  onTranscript(callback: (event: TranscriptionCompleted) => unknown): this {
    this.callbacks.transcript.push(callback);
    return this;
  }

  /** Call a function when the server detects the start or the end of speech. */
  onVad(callback: (event: ServerEvent) => unknown): this {
    this.callbacks.vad.push(callback);
    return this;
  }

  /** Call a function with the next bytes of speech: 16-bit mono PCM in the sample rate of the session. */
  onAudio(callback: (pcm: Uint8Array) => unknown): this {
    this.callbacks.audio.push(callback);
    return this;
  }

  /** Call a function with each error: APIError, or ConnectionFailed when the connection is lost. */
  onError(callback: (error: OpenSpeechError) => unknown): this {
    this.callbacks.error.push(callback);
    return this;
  }

  /** Call a function with every event of the server. */
  onEvent(callback: (event: ServerEvent) => unknown): this {
    this.callbacks.event.push(callback);
    return this;
  }

  /** Append 16-bit mono PCM in the sample rate of the session. */
  sendAudio(pcm: ArrayBuffer | ArrayBufferView): void {
    const data = bytes(pcm);
    for (let start = 0; start < data.length; start += PART_BYTES) {
      this.send({ type: "input_audio_buffer.append", audio: base64(data.subarray(start, start + PART_BYTES)) });
    }
  }

  /** End the turn: the audio so far is transcribed. */
  commit(): void {
    this.send({ type: "input_audio_buffer.commit" });
  }

  /** Speak a text word for word, or without one let the language model of the server answer. */
  createResponse(text?: string, voice?: string, instructions?: string): void {
    this.send({ type: "response.create", response: responseOf(text, voice, instructions) });
  }

  /** Stop the response in progress: no more audio of it is received. */
  cancelResponse(): void {
    this.send({ type: "response.cancel" });
  }

  /** Send any event of the Realtime API. Throws ConnectionFailed if the session has ended. */
  send(event: { type: string } & Record<string, unknown>): void {
    if (this.ended || this.closing) throw new ConnectionFailed("The session has ended.");
    this.count += 1;
    const numbered = { event_id: `client_${this.count}`, ...event };
    this.pending.sent(numbered);
    if (this.waiting) this.waiting.push(numbered);
    else this.connection?.send(numbered);
  }

  /** Close the session; first wait up to `waitMs` for the transcripts and responses that were requested. 0: close at once. */
  async close(waitMs = CLOSE_MS): Promise<void> {
    const deadline = Date.now() + waitMs;
    while (this.pending.isOpen && !this.ended && Date.now() < deadline) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadline - Date.now());
        this.changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.closing = true;
    this.connection?.close();
    if (this.connection) await this.reading;
  }

  private async begin(Class: WebSocketClass, http: Http, options: RealtimeOptions): Promise<void> {
    const connection = await Connection.open(Class, http, PATH, { model: options.model ?? DEFAULT_MODEL });
    this.connection = connection;
    if (this.closing) return connection.close();
    await expect(connection, "session.created");
    connection.send({ type: "session.update", session: configurationOf(options) });
    this.pending.received(await expect(connection, "session.updated"));
    for (const event of this.waiting ?? []) connection.send(event);
    this.waiting = null;
  }

  private async read(): Promise<void> {
    const connection = this.connection as Connection;
    for (let message = await connection.next(); message; message = await connection.next()) {
      this.pending.received(message);
      await this.dispatch(message);
      this.changed?.();
    }
    if (!this.closing) throw connection.failure();
    this.ended = true;
  }

  private async failed(error: unknown): Promise<void> {
    this.ended = true;
    this.connection?.close();
    this.changed?.();
    if (this.closing) return;
    if (!(error instanceof BaseError)) throw error; // a callback failed: reported as an unhandled rejection, as in any event handler
    await this.report(error);
  }

  private async dispatch(event: ServerEvent): Promise<void> {
    for (const callback of this.callbacks.event) await callback(event);
    switch (event.type) {
      case "conversation.item.input_audio_transcription.completed":
        for (const callback of this.callbacks.transcript) await callback(event as TranscriptionCompleted);
        return;
      case "input_audio_buffer.speech_started":
      case "input_audio_buffer.speech_stopped":
        for (const callback of this.callbacks.vad) await callback(event);
        return;
      case "response.output_audio.delta":
        for (const callback of this.callbacks.audio) await callback(unbase64(String(event["delta"])));
        return;
      case "error":
      case "conversation.item.input_audio_transcription.failed":
        return this.report(errorOfEvent(event));
      case "response.done": {
        const { status, status_details: details } = event["response"] as { status: string; status_details: unknown };
        if (status === "failed") await this.report(errorOfEvent(details));
      }
    }
  }

  private async report(error: OpenSpeechError): Promise<void> {
    if (!this.callbacks.error.length) console.warn(error);
    for (const callback of this.callbacks.error) await callback(error);
  }
}

/** Wait for an event of the server. Throws APIError for an error instead of it. */
async function expect(connection: Connection, type: string): Promise<ServerEvent> {
  for (let message = await connection.next(); message; message = await connection.next()) {
    if (message.type === "error") throw errorOfEvent(message);
    if (message.type === type) return message;
  }
  throw connection.failure();
}

function configurationOf(options: RealtimeOptions): object {
  const format = { type: "audio/pcm", rate: options.sampleRate ?? PCM_RATE };
  const { transcriptionModel = "whisper-1", turnDetection = { type: "server_vad" }, language, voice, speed, instructions } = options;
  // JSON has no undefined: fields without a value are left out.
  return {
    type: "realtime",
    instructions,
    audio: {
      input: {
        format,
        transcription: transcriptionModel === null ? null : { model: transcriptionModel, language },
        turn_detection: turnDetection === null ? null : { create_response: options.respond ?? false, ...turnDetection },
      },
      output: { format, voice, speed },
    },
  };
}

/** Return a response in the form of the API. A text is spoken as it is, and not part of the conversation. */
function responseOf(text?: string, voice?: string, instructions?: string): object {
  const spoken = text === undefined ? {} : {
    conversation: "none",
    tool_choice: "none",
    input: [{ type: "message", role: "user", content: [{ type: "input_text", text }] }],
  };
  return { ...(voice ? { audio: { output: { voice } } } : {}), instructions, ...spoken };
}
