/** Runs in the audio thread: plays what it is sent, and reports when an item begins, when nothing is left, and what was played. */

import { PlaybackQueue } from "./playback-queue.js";

class Playback extends AudioWorkletProcessor {
  #queue = new PlaybackQueue();

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.type === "add") this.#queue.add(data.item, data.samples);
      else this.port.postMessage({ type: "stopped", number: data.number, played: this.#queue.stop() });
    };
  }

  /**
   * @param {Float32Array[][]} _inputs
   * @param {Float32Array[][]} outputs
   */
  process(_inputs, [[output]]) {
    const wasEmpty = this.#queue.isEmpty;
    for (const item of this.#queue.pull(output)) this.port.postMessage({ type: "started", item });
    if (!wasEmpty && this.#queue.isEmpty) this.port.postMessage({ type: "idle" });
    return true;
  }
}

registerProcessor("playback", Playback);
