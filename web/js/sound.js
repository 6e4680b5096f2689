/** Samples: between bytes and numbers, between rates, into a file, into a picture. Pure. Samples are floats in [-1, 1]. */

/** 16-bit little-endian PCM that comes in pieces cut anywhere -> samples. */
export class PcmReader {
  /** @type {number | null} */
  #odd = null;

  /**
   * @param {Uint8Array} bytes
   * @returns {Float32Array}
   */
  feed(bytes) {
    const held = this.#odd === null ? 0 : 1;
    const whole = new Uint8Array(held + bytes.length);
    if (held) whole[0] = this.#odd;
    whole.set(bytes, held);
    this.#odd = whole.length % 2 ? whole[whole.length - 1] : null;
    const view = new DataView(whole.buffer);
    return Float32Array.from({ length: whole.length >> 1 }, (_, index) => view.getInt16(index * 2, true) / 32768);
  }
}

/**
 * @param {Float32Array} samples
 * @returns {ArrayBuffer} 16-bit little-endian PCM
 */
export function toPcm(samples) {
  const view = new DataView(new ArrayBuffer(samples.length * 2));
  samples.forEach((sample, index) => view.setInt16(index * 2, Math.max(-32768, Math.min(32767, Math.round(sample * 32768))), true));
  return view.buffer;
}

/**
 * The 44 bytes before the samples of a 16-bit mono WAV file.
 *
 * @param {number} size of the samples, in bytes
 * @param {number} rate in Hertz
 */
export function wavHeader(size, rate) {
  const view = new DataView(new ArrayBuffer(44));
  const text = (at, word) => [...word].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + size, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, size, true);
  return view.buffer;
}

const HALF = 16;

/** Another rate for sound that comes in pieces: a windowed sinc, 16 crossings to each side, so that nothing folds back. */
export class Resampler {
  #held = new Float32Array(HALF * 4);
  /** Place of the next sample to give, in samples of `#held`. */
  #next;
  #step;
  #reach;
  #cutoff;

  /**
   * @param {number} from in Hertz
   * @param {number} to in Hertz
   */
  constructor(from, to) {
    this.#step = from / to;
    this.#cutoff = Math.min(1, to / from) * 0.94;
    this.#reach = Math.ceil(HALF / this.#cutoff);
    this.#held = new Float32Array(this.#reach);
    this.#next = this.#reach;
  }

  /**
   * @param {Float32Array} samples
   * @returns {Float32Array}
   */
  feed(samples) {
    if (this.#step === 1) return samples;
    const whole = new Float32Array(this.#held.length + samples.length);
    whole.set(this.#held);
    whole.set(samples, this.#held.length);
    const given = [];
    for (; this.#next + this.#reach < whole.length; this.#next += this.#step) given.push(this.#at(whole, this.#next));
    const done = Math.max(0, Math.floor(this.#next) - this.#reach);
    this.#held = whole.slice(done);
    this.#next -= done;
    return Float32Array.from(given);
  }

  /**
   * @param {Float32Array} samples
   * @param {number} place
   */
  #at(samples, place) {
    let sum = 0;
    for (let index = Math.ceil(place - this.#reach); index <= place + this.#reach; index++) {
      const distance = place - index;
      const angle = Math.PI * distance * this.#cutoff;
      const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * distance) / (this.#reach + 1));
      sum += (samples[index] ?? 0) * sinc * window;
    }
    return sum * this.#cutoff;
  }
}

/**
 * The loudest of each of `count` equal stretches, in [0, 1]: what a waveform is drawn from.
 *
 * @param {Float32Array} samples
 * @param {number} count
 */
export function peaks(samples, count) {
  return Float32Array.from({ length: count }, (_, index) => {
    const [from, to] = [index, index + 1].map((edge) => Math.floor((edge * samples.length) / count));
    let top = 0;
    for (let at = from; at < Math.max(to, Math.min(from + 1, samples.length)); at++) top = Math.max(top, Math.abs(samples[at]));
    return top;
  });
}

/**
 * How loud, in [0, 1], on a scale of decibels from -60 to 0, which is how it is heard.
 *
 * @param {Float32Array} samples
 */
export function level(samples) {
  if (!samples.length) return 0;
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  return power === 0 ? 0 : Math.max(0, Math.min(1, 1 + (10 * Math.log10(power)) / 60));
}
