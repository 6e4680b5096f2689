import assert from "node:assert/strict";
import { test } from "node:test";
import { PcmReader, Resampler, level, peaks, toPcm, wavHeader } from "../../../web/js/sound.js";

const tone = (hertz, rate, seconds) =>
  Float32Array.from({ length: Math.round(rate * seconds) }, (_, at) => 0.5 * Math.sin((2 * Math.PI * hertz * at) / rate));
const rms = (samples) => Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);

/** Resample in pieces of uneven sizes, as a microphone gives them. */
function resampled(samples, from, to, sizes) {
  const resampler = new Resampler(from, to);
  const out = [];
  for (let at = 0, turn = 0; at < samples.length; turn++) {
    const size = sizes[turn % sizes.length];
    out.push(...resampler.feed(samples.slice(at, at + size)));
    at += size;
  }
  return Float32Array.from(out);
}

test("samples survive the way to bytes and back, cut at odd places", () => {
  const samples = Float32Array.from([0, 0.5, -0.5, 32767 / 32768, -1]);
  const bytes = new Uint8Array(toPcm(samples));
  for (let size = 1; size <= bytes.length; size++) {
    const reader = new PcmReader();
    const read = [];
    for (let at = 0; at < bytes.length; at += size) read.push(...reader.feed(bytes.slice(at, at + size)));
    assert.deepEqual(read, [...samples]);
  }
});

test("what is too loud is held at full scale", () => {
  assert.deepEqual([...new Int16Array(toPcm(Float32Array.from([2, -2])))], [32767, -32768]);
});

test("a header says how long the file is and at which rate", () => {
  const view = new DataView(wavHeader(1000, 24_000));
  assert.equal(new TextDecoder().decode(view.buffer.slice(0, 4)) + new TextDecoder().decode(view.buffer.slice(8, 16)), "RIFFWAVEfmt ");
  assert.deepEqual(
    [view.getUint32(4, true), view.getUint32(24, true), view.getUint32(28, true), view.getUint32(40, true)],
    [1036, 24_000, 48_000, 1000],
  );
});

for (const from of [48_000, 44_100, 22_050, 8000]) {
  test(`a voice keeps its pitch and loudness from ${from} Hertz to 16000, in pieces as in one`, () => {
    const sound = tone(440, from, 1);
    const whole = resampled(sound, from, 16_000, [sound.length]);
    assert.ok(Math.abs(whole.length - 16_000) < 80, `${whole.length} samples`);
    const cut = resampled(sound, from, 16_000, [128, 1, 2048, 77]);
    assert.equal(cut.length, whole.length);
    assert.ok(cut.every((sample, at) => Math.abs(sample - whole[at]) < 1e-5));
    const body = whole.subarray(400, 15_000);
    assert.ok(Math.abs(rms(body) - rms(sound)) < 0.004, `${rms(body)} instead of ${rms(sound)}`);
    const crossings = body.reduce((count, sample, at) => count + (at > 0 && body[at - 1] < 0 && sample >= 0), 0);
    assert.ok(Math.abs(crossings - (440 * body.length) / 16_000) <= 1);
  });
}

test("what the new rate cannot hold does not fold back into the voice", () => {
  const hiss = resampled(tone(11_000, 48_000, 0.5), 48_000, 16_000, [2048]);
  assert.ok(rms(hiss.subarray(200, 7000)) < 0.002, `${rms(hiss.subarray(200, 7000))}`);
});

test("the same rate changes nothing", () => {
  const sound = tone(440, 16_000, 0.01);
  assert.equal(new Resampler(16_000, 16_000).feed(sound), sound);
});

test("peaks show the loudest of each stretch", () => {
  assert.deepEqual([...peaks(Float32Array.from([0, 0.25, -0.5, 0.125]), 2)], [0.25, 0.5]);
  assert.equal(peaks(tone(100, 8000, 0.1), 50).length, 50);
  assert.deepEqual([...peaks(new Float32Array(0), 3)], [0, 0, 0]);
  assert.deepEqual(
    [...peaks(Float32Array.from([1]), 2)],
    [1, 0].map(() => 1),
  );
});

test("loudness goes from silence to full scale", () => {
  assert.equal(level(new Float32Array(0)), 0);
  assert.equal(level(new Float32Array(8)), 0);
  assert.equal(level(Float32Array.from([1, -1])), 1);
  assert.ok(Math.abs(level(Float32Array.from([0.1, -0.1])) - 2 / 3) < 1e-6);
});
