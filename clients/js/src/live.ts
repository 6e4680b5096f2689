/** Live transcription that survives a lost connection: audio in, events out. */

import type { LiveEvent } from "./bodies.js";
import { APIError, ConnectionFailed, errorOfEvent, ServerTooOld } from "./errors.js";
import type { Http } from "./http.js";
import { bytes, fieldsOf, type LiveOptions } from "./options.js";
import { Continuity, ResumableAudio } from "./resume.js";
import { DEFAULT_RETRY, delayMs, isTemporary, sleep } from "./retry.js";
import { Connection, type Message, POLICY, type WebSocketClass } from "./socket.js";

const PATH = "/v1/audio/stream";
const DEFAULT_RATE = 16_000;
const RECONNECT_MS = 60_000;
/** Maximum bytes of one message of audio. */
const PART_BYTES = 64 << 10;
/** Maximum seconds of audio that are not final. When there are more, no more is taken from the caller. */
const KEPT_S = 120;
/** Milliseconds without audio after which the server is asked to keep the connection open. */
const QUIET_MS = 15_000;

export type Chunks = AsyncIterable<ArrayBuffer | ArrayBufferView> | Iterable<ArrayBuffer | ArrayBufferView>;

/** Something that was waited for may have happened. */
class Signal {
  private resolve: () => void = () => undefined;
  private promise!: Promise<void>;

  constructor() {
    this.reset();
  }

  reset(): void {
    this.promise = new Promise((resolve) => (this.resolve = resolve));
  }

  set(): void {
    this.resolve();
  }

  wait(): Promise<void> {
    return this.promise;
  }
}

export class LiveTranscription {
  private readonly audio: ResumableAudio;
  private readonly continuity: Continuity;
  private readonly reconnectMs: number;
  private readonly query: Record<string, string>;
  private readonly events: LiveEvent[] = [];
  /** Set when there is an event, or the end, for the caller. */
  private readonly arrived = new Signal();
  /** Set when there is audio to send, or no more will follow. */
  private readonly changed = new Signal();
  /** Set when audio may have become final. */
  private readonly room = new Signal();
  private connection: Connection | null = null;
  private complete = false;
  private ended = false;
  private failure: unknown = null;
  private failures = 0;
  private lostAt = 0;

  constructor(
    private readonly Class: WebSocketClass,
    private readonly http: Http,
    private readonly chunks: Chunks,
    private readonly options: LiveOptions,
  ) {
    const { reconnectMs, ...rest } = options;
    this.reconnectMs = reconnectMs ?? RECONNECT_MS;
    const fields = { ...fieldsOf(rest), ...(this.reconnectMs > 0 ? { resumable: true } : {}) };
    this.query = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
    this.audio = new ResumableAudio(options.sampleRate ?? DEFAULT_RATE);
    this.continuity = new Continuity(this.audio);
  }

  /** Yield the events of the stream, in its times. Throws the error that ended it. */
  async *run(): AsyncGenerator<LiveEvent, void, undefined> {
    const stop = (): void => this.end(this.options.signal?.reason);
    if (this.options.signal?.aborted) stop();
    this.options.signal?.addEventListener("abort", stop);
    void this.take();
    void this.talk();
    try {
      for (;;) {
        this.arrived.reset();
        for (let event = this.events.shift(); event; event = this.events.shift()) yield event;
        if (this.ended && !this.events.length) break;
        await this.arrived.wait();
      }
      if (this.failure !== null) throw this.failure;
    } finally {
      this.options.signal?.removeEventListener("abort", stop);
      this.end(null);
    }
  }

  private end(failure: unknown): void {
    if (this.ended) return;
    [this.ended, this.failure] = [true, failure];
    this.connection?.close();
    for (const signal of [this.arrived, this.changed, this.room]) signal.set();
  }

  private async take(): Promise<void> {
    try {
      for await (const chunk of this.chunks) {
        while (this.audio.seconds > KEPT_S && !this.ended) {
          this.room.reset();
          await this.room.wait();
        }
        if (this.ended) return;
        this.audio.append(bytes(chunk));
        this.changed.set();
      }
      this.complete = true;
      this.changed.set();
    } catch (error) {
      this.end(error);
    }
  }

  /** Hold connections until the session has ended, or no new connection succeeds in time. */
  private async talk(): Promise<void> {
    while (!this.ended) {
      try {
        await this.connect();
        return this.end(null);
      } catch (error) {
        if (!this.failures) this.lostAt = Date.now();
        this.failures += 1;
        const delay = delayMs(DEFAULT_RETRY, this.failures, error instanceof APIError ? error.retryAfter : null);
        if (!mayResume(error) || Date.now() + delay > this.lostAt + this.reconnectMs) return this.end(error);
        await sleep(delay);
      }
    }
  }

  /** Serve one connection to the end of the session. Throws ConnectionFailed if it ends before. */
  private async connect(): Promise<void> {
    const connection = await Connection.open(this.Class, this.http, PATH, this.query);
    this.connection = connection;
    try {
      if (this.ended) return; // while it was connecting
      const begin = await connection.next();
      if (begin === null) throw connection.failure();
      if (begin.type === "error") throw errorOfEvent(begin);
      if (this.reconnectMs > 0 && begin["resumable"] !== true) {
        throw new ServerTooOld("The server cannot resume a live transcription: upgrade it, or set `reconnectMs: 0`.");
      }
      this.audio.restart();
      this.passOn(begin);
      void this.send(connection);
      await this.receive(connection);
    } finally {
      connection.close();
      this.changed.set();
    }
  }

  private async receive(connection: Connection): Promise<void> {
    let lastError: Message | null = null;
    for (let message = await connection.next(); message; message = await connection.next()) {
      this.passOn(message);
      if (message.type === "session.end") return;
      if (message.type === "error") lastError = message;
    }
    throw connection.closeCode === POLICY && lastError ? errorOfEvent(lastError) : connection.failure();
  }

  private passOn(message: Message): void {
    if ("final_until" in message || message.type === "session.end") this.failures = 0;
    this.events.push(...this.continuity.accept(message));
    this.arrived.set();
    this.room.set();
  }

  /** Send audio as it arrives, and `stop` at the end. */
  private async send(connection: Connection): Promise<void> {
    while (connection.closeCode === null) {
      this.changed.reset();
      for (let part = this.audio.take(PART_BYTES); part.length; part = this.audio.take(PART_BYTES)) {
        connection.send(part);
        if (this.reconnectMs <= 0) {
          this.audio.dropSent();
          this.room.set();
        }
        await connection.calm();
        if (connection.closeCode !== null) return;
      }
      if (this.complete) return connection.send({ type: "stop" });
      let timer: ReturnType<typeof setTimeout> | undefined;
      const quiet = new Promise<string>((resolve) => (timer = setTimeout(resolve, QUIET_MS, "quiet")));
      const woken = await Promise.race([this.changed.wait(), quiet]);
      clearTimeout(timer);
      if (woken === "quiet") connection.send({ type: "keepalive" });
    }
  }
}

/** Return whether a new connection may succeed. Errors in a message have no status: invalid requests are final, others pass. */
function mayResume(error: unknown): boolean {
  if (error instanceof APIError && error.status === null) return !error.isInvalidRequest;
  return error instanceof ConnectionFailed || isTemporary(error);
}
