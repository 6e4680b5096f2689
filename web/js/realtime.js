/** One session of the Realtime API over a WebSocket: `WS /v1/realtime`. Audio is 16-bit PCM at 24 kHz in both directions. */

import { ApiError, errorOf, socket } from "./api.js";

export const RATE = 24_000;
/** Bytes that may wait to be sent, ten seconds of audio in base64: what arrives later than that is not live. */
const BACKLOG = (RATE * 2 * 10 * 4) / 3;
/** How long the server may take to begin the session, in milliseconds. */
const HANDSHAKE_MS = 30_000;
/** Errors about something that ended by itself in the meantime. */
const HARMLESS = new Set(["response_cancel_not_active", "item_truncate_invalid_item_id", "item_retrieve_invalid_item_id"]);
/** Errors with which the server ends a session that nobody uses. */
const RETIRED = new Set(["session_idle_timeout", "session_expired"]);

/** The events of a session, whatever carries them. */
export class RealtimeEvents {
  #ready = false;
  #ended = false;
  /** @type {Error | null} the last error, which may be the reason why the server closes */
  trouble = null;
  /** @type {(event: any) => void} */
  onEvent = () => {};
  /** @type {(error: Error) => void} an error that does not end the session */
  onError = () => {};
  /** @type {(error: Error | null) => void} the session has ended; called once */
  onEnd = () => {};

  /** @param {object} event dropped before the session begins, and once it has ended */
  send(event) {
    if (this.#ready && !this.#ended) this.transmit(event);
  }

  close() {
    this.end(null);
  }

  /** The session has begun. */
  begin() {
    this.#ready = true;
  }

  /** @param {any} event */
  received(event) {
    if (event.type !== "error") return this.onEvent(event);
    const error = errorOf(event);
    if (HARMLESS.has(error.code)) return;
    this.trouble = RETIRED.has(error.code) ? null : error;
    if (RETIRED.has(error.code)) this.end(null);
    else this.onError(error);
  }

  /** @param {Error | null} error */
  end(error) {
    if (this.#ended) return;
    this.#ended = true;
    this.disconnect();
    this.onEnd(error);
  }

  /**
   * Send an event, now.
   *
   * @param {object} _event
   */
  transmit(_event) {}

  /** Close what carries the events. */
  disconnect() {}
}

export class RealtimeSession extends RealtimeEvents {
  isCall = false;
  /** @type {WebSocket | null} */
  #socket = null;

  /**
   * Connect and configure; resolves when audio may be sent. Throws ApiError.
   *
   * @param {string} model of language; empty for the server's own
   * @param {object} session configuration
   * @param {object[]} items of the conversation so far
   */
  async open(model, session, items = []) {
    const opened = socket("v1/realtime", { model: model || "gpt-realtime" });
    this.#socket = opened;
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new ApiError("The server did not begin the session in time.")), HANDSHAKE_MS);
      const settle = (act, value) => (clearTimeout(timer), act(value));
      opened.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (event.type === "session.created") this.transmit({ type: "session.update", session });
        else if (event.type === "session.updated") settle(resolve);
        else if (event.type === "error") settle(reject, errorOf(event));
      };
      opened.onclose = ({ code, reason }) => settle(reject, closed(code, reason));
    }).catch((error) => {
      opened.onclose = opened.onmessage = null;
      opened.close();
      throw error;
    });
    opened.onmessage = ({ data }) => this.received(JSON.parse(data));
    opened.onclose = ({ code, reason }) => this.end(this.trouble ?? (code === 1000 ? null : closed(code, reason)));
    this.begin();
    for (const item of items) this.send({ type: "conversation.item.create", item });
  }

  /** @param {ArrayBuffer} pcm */
  append(pcm) {
    if (this.#socket?.bufferedAmount > BACKLOG) return this.end(new ApiError("The connection is too slow for live audio."));
    this.send({ type: "input_audio_buffer.append", audio: btoa(String.fromCharCode(...new Uint8Array(pcm))) });
  }

  /** @param {object} event */
  transmit(event) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(event));
  }

  disconnect() {
    this.#socket?.close();
  }
}

/**
 * @param {number} code
 * @param {string} reason
 */
function closed(code, reason) {
  if (reason) return new ApiError(`The server closed the session: ${reason}.`);
  return new ApiError(
    code === 1008 ? "The server refused the connection. Check the API key." : "The connection to the server was lost.",
  );
}

/**
 * Decode a piece of an answer.
 *
 * @param {string} base64
 * @returns {Uint8Array}
 */
export const decoded = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
