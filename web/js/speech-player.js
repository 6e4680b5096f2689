/** Plays a speech while it comes. What is heard is what can be kept: nothing is asked for twice. */

import { ask, pieces } from "./api.js";
import { PcmReader, wavHeader } from "./sound.js";

const PCM_RATE = 24_000;
/** Seconds that are kept ahead of the loudspeaker, so that a late piece makes no gap. */
const LEAD_S = 0.12;

export const MEDIA = { mp3: "audio/mpeg", opus: "audio/ogg", aac: "audio/aac", flac: "audio/flac", wav: "audio/wav", pcm: "audio/pcm" };

/**
 * @typedef {object} Watcher
 * @property {() => void} started the first sound is heard
 * @property {(samples: Float32Array) => void} samples what comes as samples
 * @property {(file: Blob) => void} grown what comes as a file, as far as it is here
 */

/**
 * Ask for a speech and play it: from its first piece where the browser can play the format bit by bit, else when it is there.
 *
 * @param {Record<string, any>} request body of `POST /v1/audio/speech`
 * @param {HTMLAudioElement} audio can play all of it again at the end
 * @param {AbortSignal} signal silences it
 * @param {Watcher} watcher
 * @returns {Promise<{file: Blob, playable: Blob, heard: Promise<unknown>}>} the whole speech, when it has come: as it was asked for, in a
 *   form that a browser can decode, and when it was heard to its end
 */
export async function play(request, audio, signal, watcher) {
  const form = request.response_format;
  // The raw samples are what the page can play and draw as they come; around them it makes the file itself.
  const raw = form === "wav" || form === "pcm";
  const sink = raw ? new SampleSink(signal, watcher) : streams(MEDIA[form]) ? new MediaSink(audio, MEDIA[form], signal, watcher) : null;
  try {
    const response = await ask("v1/audio/speech", { json: { ...request, response_format: raw ? "pcm" : form }, signal });
    /** @type {Uint8Array[]} */
    const parts = [];
    for await (const piece of pieces(response.body)) {
      parts.push(piece);
      await sink?.feed(piece);
      if (!raw) watcher.grown(new Blob(parts, { type: MEDIA[form] }));
    }
    const file = new Blob(parts, { type: MEDIA[form] });
    const wav = raw ? new Blob([wavHeader(file.size, PCM_RATE), file], { type: MEDIA.wav }) : null;
    const made = { file: form === "wav" ? wav : file, playable: wav ?? file };
    if (sink) return { ...made, heard: sink.end().then(() => wav && load(audio, wav)) };
    load(audio, file);
    watcher.started();
    await audio.play();
    return { ...made, heard: ended(audio, signal) };
  } catch (error) {
    sink?.close();
    throw error;
  }
}

/**
 * @param {HTMLAudioElement} audio
 * @param {Blob} blob
 */
function load(audio, blob) {
  URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(blob);
}

/**
 * @param {HTMLAudioElement} audio
 * @param {AbortSignal} signal
 */
function ended(audio, signal) {
  return new Promise((resolve) => {
    audio.addEventListener("ended", resolve, { once: true, signal });
    signal.addEventListener("abort", resolve, { once: true });
  });
}

/** @param {string} type */
const streams = (type) => "MediaSource" in globalThis && MediaSource.isTypeSupported(type);

/** Samples, one buffer after the other. */
class SampleSink {
  #context = new AudioContext({ sampleRate: PCM_RATE });
  #reader = new PcmReader();
  #at = 0;
  #watcher;

  /**
   * @param {AbortSignal} signal
   * @param {Watcher} watcher
   */
  constructor(signal, watcher) {
    this.#watcher = watcher;
    signal.addEventListener("abort", () => this.close());
  }

  /** @param {Uint8Array} bytes */
  async feed(bytes) {
    const samples = this.#reader.feed(bytes);
    if (!samples.length || this.#context.state === "closed") return;
    const buffer = this.#context.createBuffer(1, samples.length, PCM_RATE);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(this.#context, { buffer });
    source.connect(this.#context.destination);
    if (!this.#at) this.#watcher.started();
    this.#at = Math.max(this.#at, this.#context.currentTime + LEAD_S);
    source.start(this.#at);
    this.#at += buffer.duration;
    this.#watcher.samples(samples);
  }

  /** Wait until all of it was heard. */
  async end() {
    while (this.#context.state !== "closed" && this.#context.currentTime < this.#at) await new Promise((resume) => setTimeout(resume, 50));
    this.close();
  }

  close() {
    if (this.#context.state !== "closed") void this.#context.close();
  }
}

/** Encoded sound, appended to what an audio element plays. */
class MediaSink {
  #source = new MediaSource();
  #audio;
  #signal;
  #open;
  /** @type {SourceBuffer | null} */
  #buffer = null;
  #watcher;
  #begun = false;

  /**
   * @param {HTMLAudioElement} audio
   * @param {string} type
   * @param {AbortSignal} signal
   * @param {Watcher} watcher
   */
  constructor(audio, type, signal, watcher) {
    this.#audio = audio;
    this.#signal = signal;
    this.#watcher = watcher;
    this.#open = new Promise((resolve) => this.#source.addEventListener("sourceopen", resolve, { once: true })).then(() => {
      this.#buffer = this.#source.addSourceBuffer(type);
    });
    URL.revokeObjectURL(audio.src);
    audio.src = URL.createObjectURL(this.#source);
    signal.addEventListener("abort", () => audio.pause());
  }

  /** @param {Uint8Array} bytes */
  async feed(bytes) {
    await this.#open;
    await this.#append(bytes);
    if (this.#begun || !this.#buffer.buffered.length) return;
    this.#begun = true;
    this.#watcher.started();
    // Not waited for: it begins when more is there than this piece. A browser that wants a click first has the player's button.
    void this.#audio.play().catch(() => undefined);
  }

  /** @param {Uint8Array} bytes */
  async #append(bytes) {
    while (!this.#signal.aborted) {
      try {
        this.#buffer.appendBuffer(bytes);
        return await new Promise((resolve) => this.#buffer.addEventListener("updateend", resolve, { once: true }));
      } catch (error) {
        if (error.name !== "QuotaExceededError") throw error;
        await new Promise((resume) => setTimeout(resume, 500)); // full of what is still to be heard: there will be room
      }
    }
  }

  async end() {
    await this.#open;
    this.close();
    await ended(this.#audio, this.#signal);
  }

  close() {
    if (this.#source.readyState === "open") this.#source.endOfStream();
  }
}
