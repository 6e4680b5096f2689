/** The audio that was sent in a session: which part of it was a turn, and when it was recorded. Pure. */

/** Milliseconds that are kept for turns that have not ended. */
const KEPT_MS = 180_000;

export class SentAudio {
  /** @type {{from: number, to: number, pcm: ArrayBuffer, at: number}[]} */
  #blocks = [];
  #ms = 0;
  #bytesPerMs;

  /** @param {number} rate in Hertz, of 16-bit mono samples */
  constructor(rate) {
    this.#bytesPerMs = (rate * 2) / 1000;
  }

  /** Milliseconds that were sent so far. */
  get ms() {
    return this.#ms;
  }

  /**
   * @param {ArrayBuffer} pcm
   * @param {number} at when its last sample was recorded, in milliseconds of the page's clock
   */
  push(pcm, at) {
    const from = this.#ms;
    this.#ms += pcm.byteLength / this.#bytesPerMs;
    this.#blocks.push({ from, to: this.#ms, pcm, at });
    while (this.#blocks[0].to < this.#ms - KEPT_MS) this.#blocks.shift();
  }

  /**
   * When a position was recorded; the time of the nearest position that is kept, if that one is not.
   *
   * @param {number} ms
   */
  timeOf(ms) {
    const block = this.#blocks.find(({ to }) => to >= ms) ?? this.#blocks.at(-1);
    return block ? block.at - Math.max(0, Math.min(block.to - ms, block.to - block.from)) : 0;
  }

  /**
   * @param {number} from in milliseconds
   * @param {number} to
   * @returns {ArrayBuffer[]} the samples between two positions
   */
  slice(from, to) {
    const byte = (ms) => Math.round((ms * this.#bytesPerMs) / 2) * 2;
    return this.#blocks
      .filter((block) => block.to > from && block.from < to)
      .map((block) => block.pcm.slice(byte(Math.max(0, from - block.from)), byte(Math.min(block.to, to) - block.from)));
  }
}
