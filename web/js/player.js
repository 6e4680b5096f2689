/** A recording that can be seen and heard: its waveform, where it is, and a way to any place in it. */

import { $ } from "./dom.js";
import { clock } from "./format.js";
import { peaks } from "./sound.js";
import { Waveform, samplesOf } from "./waveform.js";

/** Seconds that an arrow key moves. */
const STEP_S = 5;

export class Player {
  #root;
  #audio;
  #wave;
  #slider;
  /** @type {Float32Array | null} */
  #samples = null;
  /** @type {(seconds: number) => void} */
  onTime = () => {};

  /** @param {HTMLElement} root holds an audio element, a canvas, a button `.play` and an output `.time` */
  constructor(root) {
    this.#root = root;
    this.#audio = $("audio", root);
    this.#slider = $("canvas", root);
    this.#wave = new Waveform(this.#slider);
    $(".play", root).addEventListener("click", () => this.toggle());
    this.#slider.addEventListener("click", (event) => this.seek((event.offsetX / this.#slider.clientWidth) * this.duration));
    this.#slider.addEventListener("keydown", (event) => this.#key(event));
    for (const name of ["timeupdate", "loadedmetadata", "durationchange", "seeked"])
      this.#audio.addEventListener(name, () => this.#moved());
    for (const name of ["play", "pause", "ended"]) this.#audio.addEventListener(name, () => this.#toggled());
    new ResizeObserver(() => this.#picture()).observe(this.#slider);
  }

  get audio() {
    return this.#audio;
  }

  /** In seconds: of what is here, while more is coming; 0 while it is not known. */
  get duration() {
    const { duration, buffered } = this.#audio;
    if (Number.isFinite(duration)) return duration;
    return duration === Infinity && buffered.length ? buffered.end(buffered.length - 1) : 0;
  }

  /**
   * Take another recording.
   *
   * @param {Blob} blob
   */
  async open(blob) {
    URL.revokeObjectURL(this.#audio.src);
    this.#audio.src = URL.createObjectURL(blob);
    this.picture(null);
    this.#root.hidden = false;
    await new Promise((resolve) =>
      ["loadedmetadata", "error"].forEach((name) => this.#audio.addEventListener(name, resolve, { once: true })),
    );
    // What the browser cannot play, the server may still understand.
    this.#root.hidden = Boolean(this.#audio.error);
    this.picture(await samplesOf(blob, this.duration));
  }

  /**
   * Show a picture of these samples; null shows a line.
   *
   * @param {Float32Array | null} samples
   */
  picture(samples) {
    this.#samples = samples;
    this.#picture();
  }

  show() {
    this.#root.hidden = false;
    this.#moved();
  }

  close() {
    this.#audio.pause();
    this.#root.hidden = true;
  }

  toggle() {
    if (this.#audio.paused) void this.#audio.play().catch(() => undefined);
    else this.#audio.pause();
  }

  /**
   * @param {number} seconds
   * @param {{play?: boolean}} [options]
   */
  seek(seconds, { play = false } = {}) {
    this.#audio.currentTime = Math.max(0, Math.min(seconds, this.duration || seconds));
    if (play) void this.#audio.play().catch(() => undefined);
  }

  #picture() {
    this.#wave.set(this.#samples ? peaks(this.#samples, this.#wave.bars) : new Float32Array(this.#wave.bars));
  }

  #moved() {
    const { currentTime } = this.#audio;
    this.#wave.progress(this.duration ? currentTime / this.duration : 0);
    $(".time", this.#root).textContent = `${clock(currentTime)} / ${clock(this.duration)}`;
    Object.entries({ valuemax: this.duration.toFixed(1), valuenow: currentTime.toFixed(1), valuetext: clock(currentTime) }).forEach(
      ([name, value]) => this.#slider.setAttribute(`aria-${name}`, value),
    );
    this.onTime(currentTime);
  }

  #toggled() {
    const playing = !this.#audio.paused && !this.#audio.ended;
    const button = $(".play", this.#root);
    button.setAttribute("aria-label", playing ? "Pause" : "Play");
    button.classList.toggle("playing", playing);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const places = {
      ArrowLeft: this.#audio.currentTime - STEP_S,
      ArrowRight: this.#audio.currentTime + STEP_S,
      Home: 0,
      End: this.duration,
    };
    if (event.key === " ") this.toggle();
    else if (event.key in places) this.seek(places[event.key]);
    else return;
    event.preventDefault();
  }
}
