/** Audio that waits to be played: pieces of items, one after the other, and how much of each item was played. Pure. */

/** Items whose played length is kept. More are never in question: an interruption concerns the last one or two. */
const KEPT = 20;

export class PlaybackQueue {
  /** @type {{item: string, samples: Float32Array}[]} */
  #pieces = [];
  /** Samples of the first piece that were played. */
  #offset = 0;
  /** @type {Map<string, number>} samples played, by item */
  #played = new Map();

  get isEmpty() {
    return !this.#pieces.length;
  }

  /**
   * @param {string} item
   * @param {Float32Array} samples
   */
  add(item, samples) {
    if (samples.length) this.#pieces.push({ item, samples });
  }

  /**
   * Fill a block; what is missing is silence and does not count as played.
   *
   * @param {Float32Array} output
   * @returns {string[]} the items that begin in this block
   */
  pull(output) {
    const begun = [];
    let filled = 0;
    while (filled < output.length && this.#pieces.length) {
      const { item, samples } = this.#pieces[0];
      if (!this.#played.has(item)) begun.push(item);
      const part = samples.subarray(this.#offset, this.#offset + output.length - filled);
      output.set(part, filled);
      filled += part.length;
      this.#offset += part.length;
      this.#played.set(item, (this.#played.get(item) ?? 0) + part.length);
      if (this.#offset === samples.length) {
        this.#pieces.shift();
        this.#offset = 0;
      }
    }
    output.fill(0, filled);
    for (const item of [...this.#played.keys()].slice(0, -KEPT)) this.#played.delete(item);
    return begun;
  }

  /**
   * Drop all that waits.
   *
   * @returns {Map<string, number>} the samples of each item that were played
   */
  stop() {
    this.#pieces = [];
    this.#offset = 0;
    return new Map(this.#played);
  }
}
