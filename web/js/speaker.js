/** The loudspeaker: plays answers while they arrive, and knows how much of each was played. */

/** Hertz of answers. */
export const RATE = 24_000;
/** How long the audio thread may take to report what was played, in milliseconds. */
const REPORT_MS = 5000;

export class Speaker {
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {AudioWorkletNode | null} */
  #node = null;
  /** @type {Promise<void> | null} */
  #ready = null;
  #number = 0;
  /** @type {Map<number, (played: Map<string, number>) => void>} */
  #asked = new Map();
  #idle = true;
  /** @type {(item: string) => void} the first sample of an item is played */
  onStart = () => {};
  /** @type {() => void} nothing is left to play */
  onIdle = () => {};

  /** Whether nothing is being played. */
  get isIdle() {
    return this.#idle;
  }

  /**
   * Prepare the output. Called within a tap or a key press: browsers start audio only there.
   *
   * @returns {Promise<void>}
   */
  wake() {
    this.#context ??= new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    if (this.#context.state !== "running") void this.#context.resume().catch(() => undefined);
    this.#ready ??= this.#connect(this.#context);
    return this.#ready;
  }

  /** @param {AudioContext} context */
  async #connect(context) {
    await context.audioWorklet.addModule(new URL("./playback-worklet.js", import.meta.url));
    this.#node = new AudioWorkletNode(context, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => this.#reported(data);
    this.#node.connect(context.destination);
  }

  /**
   * @param {string} item
   * @param {Float32Array} samples at RATE
   */
  play(item, samples) {
    if (!this.#node || !samples.length) return;
    this.#idle = false;
    this.#node.port.postMessage({ type: "add", item, samples }, [samples.buffer]);
  }

  /**
   * Fall silent.
   *
   * @returns {Promise<Map<string, number>>} the seconds of each item that left the loudspeaker
   */
  async stop() {
    if (!this.#node) return new Map();
    this.#idle = true;
    const number = ++this.#number;
    const context = this.#context;
    // Samples that the system still holds were not played yet.
    const held = context.outputLatency || context.baseLatency || 0;
    this.#node.port.postMessage({ type: "stop", number });
    // The thread of a suspended context does not respond, and has played nothing that matters.
    if (context.state !== "running") return new Map();
    const played = await new Promise((resolve) => {
      this.#asked.set(number, resolve);
      setTimeout(() => resolve(new Map()), REPORT_MS);
    });
    this.#asked.delete(number);
    return new Map([...played].map(([item, samples]) => [item, Math.max(0, samples / RATE - held)]));
  }

  /** @param {{type: string, item?: string, number?: number, played?: Map<string, number>}} report */
  #reported(report) {
    if (report.type === "stopped") this.#asked.get(report.number)?.(report.played);
    else if (report.type === "started") this.onStart(report.item);
    else {
      this.#idle = true;
      this.onIdle();
    }
  }
}
