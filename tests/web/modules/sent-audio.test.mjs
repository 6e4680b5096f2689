import assert from "node:assert/strict";
import { test } from "node:test";
import { SentAudio } from "../../../web/js/sent-audio.js";

/** A tenth of a second at 1000 Hertz whose samples are all one number. */
const block = (value) => Int16Array.from({ length: 100 }, () => value).buffer;
const samples = (parts) => parts.flatMap((part) => [...new Int16Array(part)]);

test("a part of the audio is found by its milliseconds, over the edges of blocks", () => {
  const sent = new SentAudio(1000);
  for (const value of [1, 2, 3]) sent.push(block(value), value * 100);
  assert.equal(sent.ms, 300);
  const part = samples(sent.slice(50, 220));
  assert.equal(part.length, 170);
  assert.deepEqual([part[0], part[49], part[50], part[149], part[150], part[169]], [1, 1, 2, 2, 3, 3]);
  assert.deepEqual(sent.slice(300, 400), []);
});

test("a position has the time at which it was recorded, gaps between blocks included", () => {
  const sent = new SentAudio(1000);
  sent.push(block(1), 1000);
  sent.push(block(2), 5000);
  assert.deepEqual([sent.timeOf(0), sent.timeOf(40), sent.timeOf(100), sent.timeOf(150), sent.timeOf(900)], [900, 940, 1000, 4950, 5000]);
  assert.equal(new SentAudio(1000).timeOf(10), 0);
});

test("only the last three minutes are kept, and positions stay what they were", () => {
  const sent = new SentAudio(1000);
  for (let second = 0; second < 2000; second++) sent.push(block(second), second);
  assert.deepEqual(sent.slice(0, 1000), []);
  assert.equal(samples(sent.slice(199_900, 200_000))[0], 1999);
});
