/**
 * The audio of a live transcription that is not final yet, and the times of messages over several connections.
 *
 * The server reports how much of its audio is final. Audio before that is dropped here. After a disconnect, the rest is sent to the next
 * connection, whose times count from the start of the rest: they are moved, so that the caller sees one stream.
 */

import type { LiveEvent, ServerEvent } from "./bodies.js";

/** Bytes of one sample. */
const WIDTH = 2;

/** Audio in the order of the stream: a part that was sent, and a part that waits. Positions are bytes of the stream. */
export class ResumableAudio {
  private parts: Uint8Array[] = [];
  /** Position of the first byte that is kept: everything before it is final. */
  private first = 0;
  private end = 0;
  /** Position up to which the audio was sent on this connection. */
  private sent = 0;
  /** Position at which this connection began. */
  private base = 0;

  /** `rate` is in hertz. */
  constructor(private readonly rate: number) {}

  /** Seconds of audio that are not final. */
  get seconds(): number {
    return (this.end - this.first) / (this.rate * WIDTH);
  }

  /** Seconds of the stream at which this connection began. */
  get baseSeconds(): number {
    return this.base / (this.rate * WIDTH);
  }

  /** Add the next audio, split anywhere. */
  append(data: Uint8Array): void {
    if (data.length) this.parts.push(data.slice());
    this.end += data.length;
  }

  /** Begin a new connection: everything that is not final is sent again. */
  restart(): void {
    this.base = this.sent = this.first;
  }

  /** Return the next bytes to send, at most `size`; empty if everything was sent. */
  take(size: number): Uint8Array<ArrayBuffer> {
    const data = new Uint8Array(Math.min(size, this.end - this.sent));
    let at = this.first;
    for (const part of this.parts) {
      const from = Math.max(this.sent, at);
      const to = Math.min(this.sent + data.length, at + part.length);
      if (from < to) data.set(part.subarray(from - at, to - at), from - this.sent);
      at += part.length;
    }
    this.sent += data.length;
    return data;
  }

  /** Drop all audio that was sent: it will not be sent again. */
  dropSent(): void {
    this.drop(this.sent);
  }

  /** Drop audio that is final: that before `seconds` of this connection. */
  settle(seconds: number): void {
    this.drop(Math.min(this.base + Math.floor(seconds * this.rate) * WIDTH, this.sent));
  }

  private drop(until: number): void {
    for (let part = this.parts[0]; part && this.first < until; part = this.parts[0]) {
      const size = Math.min(part.length, until - this.first);
      if (size === part.length) this.parts.shift();
      else this.parts[0] = part.subarray(size);
      this.first += size;
    }
  }
}

/** The messages of several connections -> the events of one stream. */
export class Continuity {
  private begun = false;
  /** The last event of speech detection that was passed on. */
  private vadState = "speech_end";
  private vadAt = 0;
  /** Whether the last final text did not end its utterance, and where it ended. */
  private open = false;
  private endAt = 0;

  constructor(private readonly audio: ResumableAudio) {}

  /** Take a message of the current connection; return the events for the caller. */
  accept(message: ServerEvent): LiveEvent[] {
    const { final_until: until, ...rest } = message as ServerEvent & { final_until?: unknown };
    const events = this.events(rest as LiveEvent | { type: "progress" });
    if (typeof until === "number") this.audio.settle(until);
    return events;
  }

  private events(message: LiveEvent | { type: "progress" }): LiveEvent[] {
    const base = this.audio.baseSeconds;
    switch (message.type) {
      case "progress":
        return [];
      case "session.begin": {
        const isFirst = !this.begun;
        this.begun = true;
        return isFirst ? [message] : [];
      }
      case "transcript": {
        const moved = { ...message, start: rounded(message.start + base), end: rounded(message.end + base) };
        if (moved.is_final) [this.open, this.endAt] = [!moved.speech_final, moved.end];
        return [moved];
      }
      case "vad":
        return this.speech(message.state, rounded(message.at + base));
      case "session.end":
        return [...this.closed(), { ...message, duration: rounded(message.duration + base) }];
      default:
        return [message];
    }
  }

  /** Pass on a start or an end of speech, unless it is from audio that was sent twice. */
  private speech(state: "speech_start" | "speech_end", at: number): LiveEvent[] {
    if (state === this.vadState || at < this.vadAt) return [];
    [this.vadState, this.vadAt] = [state, at];
    return [{ type: "vad", state, at }];
  }

  /** End the utterance whose last text arrived before a disconnect, if nothing followed it. */
  private closed(): LiveEvent[] {
    if (!this.open) return [];
    this.open = false;
    const [start, end] = [this.endAt, this.endAt];
    return [{ type: "transcript", text: "", start, end, is_final: true, speech_final: true, confidence: null, language: null }];
  }
}

function rounded(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
