/** Runs in the sound thread: hands on what the microphone hears, in blocks, and does nothing else there. */

const BLOCK = 2048;

class Capture extends AudioWorkletProcessor {
  #block = new Float32Array(BLOCK);
  #filled = 0;

  /** @param {Float32Array[][]} inputs */
  process([channels]) {
    const [first] = channels;
    if (!first) return true;
    for (let index = 0; index < first.length; index++) {
      this.#block[this.#filled++] = channels.reduce((sum, channel) => sum + channel[index], 0) / channels.length;
      if (this.#filled === BLOCK) {
        this.port.postMessage(this.#block, [this.#block.buffer]);
        this.#block = new Float32Array(BLOCK);
        this.#filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
