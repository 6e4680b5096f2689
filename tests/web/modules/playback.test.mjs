import assert from "node:assert/strict";
import { test } from "node:test";
import { PlaybackQueue } from "../../../web/js/playback-queue.js";

const block = (queue, length = 4) => {
  const output = new Float32Array(length).fill(9);
  const begun = queue.pull(output);
  return { samples: [...output], begun };
};

test("pieces of any size are played one after the other, and silence follows them", () => {
  const queue = new PlaybackQueue();
  queue.add("a", Float32Array.of(1, 2, 3));
  queue.add("a", Float32Array.of());
  queue.add("a", Float32Array.of(4, 5, 6, 7, 8, 9));
  assert.deepEqual(block(queue), { samples: [1, 2, 3, 4], begun: ["a"] });
  assert.deepEqual(block(queue), { samples: [5, 6, 7, 8], begun: [] });
  assert.equal(queue.isEmpty, false);
  assert.deepEqual(block(queue).samples, [9, 0, 0, 0]);
  assert.equal(queue.isEmpty, true);
});

test("a stop reports exactly the samples that were played, and silence in between does not count", () => {
  const queue = new PlaybackQueue();
  queue.add("a", Float32Array.of(1, 2));
  block(queue);
  block(queue);
  queue.add("a", Float32Array.of(3, 4, 5, 6));
  queue.add("b", Float32Array.of(7));
  assert.deepEqual(block(queue, 3).samples, [3, 4, 5]);
  assert.deepEqual([...queue.stop()], [["a", 5]]);
  assert.deepEqual(block(queue).samples, [0, 0, 0, 0]);
});

test("each item begins once, two of them in one block too", () => {
  const queue = new PlaybackQueue();
  queue.add("a", Float32Array.of(1));
  queue.add("b", Float32Array.of(2));
  queue.add("a", Float32Array.of(3));
  assert.deepEqual(block(queue), { samples: [1, 2, 3, 0], begun: ["a", "b"] });
});

test("a long conversation does not grow the record of what was played", () => {
  const queue = new PlaybackQueue();
  for (let item = 0; item < 100; item++) {
    queue.add(`item ${item}`, Float32Array.of(1));
    block(queue);
  }
  assert.equal(queue.stop().size, 20);
});
