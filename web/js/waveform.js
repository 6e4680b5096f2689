/** Waveforms on a canvas, in the page's own colours, sharp on every screen. */

const BAR = 3;
const GAP = 2;

/** A picture of sound: of a whole recording with the place that is playing, or of the last seconds of a microphone. */
export class Waveform {
  #canvas;
  #peaks = new Float32Array(0);
  #done = 0;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    new MutationObserver(() => this.#draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** How many bars fit; a recording looks best with as many peaks. */
  get bars() {
    return Math.max(1, Math.floor((this.#canvas.clientWidth + GAP) / (BAR + GAP)));
  }

  /** @param {Float32Array} peaks in [0, 1] */
  set(peaks) {
    this.#peaks = peaks;
    this.#draw();
  }

  /**
   * Let one more peak in from the right.
   *
   * @param {number} peak in [0, 1]
   */
  push(peak) {
    this.set(Float32Array.from([...this.#peaks, peak].slice(-this.bars)));
    this.progress(1);
  }

  /** @param {number} share of the recording that was played, in [0, 1] */
  progress(share) {
    this.#done = share;
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = devicePixelRatio || 1;
    Object.assign(this.#canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
    const pen = this.#canvas.getContext("2d");
    const style = getComputedStyle(this.#canvas);
    pen.scale(scale, scale);
    const count = Math.min(this.bars, Math.max(this.#peaks.length, 1));
    const top = Math.max(0.05, ...this.#peaks);
    for (let bar = 0; bar < count; bar++) {
      const peak = this.#peaks[Math.floor((bar * this.#peaks.length) / count)] ?? 0;
      const tall = Math.max(2, (peak / top) * height * 0.96);
      pen.fillStyle = bar < this.#done * count ? style.color : style.borderBottomColor;
      pen.beginPath();
      pen.roundRect(bar * (BAR + GAP), (height - tall) / 2, BAR, tall, BAR / 2);
      pen.fill();
    }
  }
}

/** Longest recording that is decoded for its picture, in seconds: longer ones would fill the memory of a telephone. */
const LONGEST_S = 1800;

/**
 * Decode a file for its picture.
 *
 * @param {Blob} blob
 * @param {number} seconds its duration
 * @returns {Promise<Float32Array | null>} mono samples at 8 kHz; null where the browser cannot decode it
 */
export async function samplesOf(blob, seconds) {
  if (!(seconds > 0) || seconds > LONGEST_S) return null;
  try {
    const decoded = await new OfflineAudioContext(1, 1, 8000).decodeAudioData(await blob.arrayBuffer());
    return decoded.getChannelData(0);
  } catch {
    return null; // a format that only the server can read: the page does without the picture
  }
}
