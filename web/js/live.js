/** Speech to text while it is said, over `WS /v1/audio/stream`. */

import { ApiError, errorOf, socket } from "./api.js";
import { RATE, listen } from "./microphone.js";
import { toPcm } from "./sound.js";

/** Bytes that may wait to be sent, ten seconds: what comes later than that is not live. */
const BACKLOG = RATE * 2 * 10;
/** Silence that ends a line, in milliseconds: people who dictate pause to think. */
const ENDPOINTING_MS = 700;
/** How long the last words may take after the end, in milliseconds. */
const LAST_WORDS_MS = 20_000;

/**
 * @typedef {object} Listener
 * @property {(samples: Float32Array) => void} sound every block that was heard
 * @property {(segment: {text: string, start: number, end: number, speaker?: string | null}) => void} final
 * @property {(text: string) => void} partial what is being said, as far as it is known; replaces the one before
 * @property {(speaking: boolean) => void} voice
 * @property {(error: Error | null) => void} end comes once
 */

/** One session: opened by `start`, ended by `stop`, by the server, or by an error. */
export class LiveTranscription {
  #listener;
  /** @type {WebSocket | null} */
  #socket = null;
  #hangUp = () => {};
  #ended = false;
  #stopping = false;
  #timer = 0;
  /** What was heard before the connection stood: nobody's first word is lost. */
  #early = [];

  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
  }

  /** @param {{model?: string, language?: string, diarize?: boolean}} options */
  async start(options) {
    this.#hangUp = await listen((samples) => this.#heard(samples));
    if (this.#ended) return this.#hangUp();
    try {
      this.#connect(options);
    } catch (error) {
      this.#hangUp();
      throw error;
    }
  }

  /** @param {{model?: string, language?: string, diarize?: boolean}} options */
  #connect(options) {
    this.#socket = socket("v1/audio/stream", {
      ...options,
      sample_rate: RATE,
      encoding: "pcm_s16le",
      interim_results: true,
      vad: true,
      endpointing: ENDPOINTING_MS,
    });
    this.#socket.onopen = () => this.#early.splice(0).forEach((samples) => this.#socket.send(toPcm(samples)));
    this.#socket.onmessage = ({ data }) => this.#told(JSON.parse(data));
    this.#socket.onclose = ({ code, reason }) => this.#closed(code, reason);
  }

  /** Say that nothing more comes; the last words still do. */
  stop() {
    this.#hangUp();
    if (this.#socket?.readyState !== WebSocket.OPEN) return this.#end(null);
    this.#stopping = true;
    this.#socket.send(JSON.stringify({ type: "stop" }));
    this.#timer = setTimeout(() => this.#end(new ApiError("The server did not return the last words in time.")), LAST_WORDS_MS);
  }

  /** @param {Float32Array} samples */
  #heard(samples) {
    if (this.#stopping) return;
    this.#listener.sound(samples);
    if (this.#socket?.readyState !== WebSocket.OPEN) this.#early.push(samples);
    else if (this.#socket.bufferedAmount < BACKLOG) this.#socket.send(toPcm(samples));
    else this.#end(new ApiError("The connection is too slow for live audio."));
  }

  /** @param {any} message */
  #told(message) {
    switch (message.type) {
      case "transcript":
        if (message.is_final) this.#listener.final(message);
        else this.#listener.partial(message.text);
        break;
      case "vad":
        this.#listener.voice(message.state === "speech_start");
        break;
      case "speech_start":
      case "speech_end":
        this.#listener.voice(message.type === "speech_start");
        break;
      case "error":
        this.#end(errorOf(message));
        break;
      case "session.end":
        this.#end(null);
        break;
    }
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #closed(code, reason) {
    const fine = code === 1000 || (this.#stopping && code === 1005);
    this.#end(
      fine
        ? null
        : new ApiError(
            reason ||
              (code === 1008 ? "The server refused the connection. Check the API key." : "The connection to the server was lost."),
          ),
    );
  }

  /** @param {Error | null} error */
  #end(error) {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#hangUp();
    this.#socket?.close();
    this.#listener.end(error);
  }
}
