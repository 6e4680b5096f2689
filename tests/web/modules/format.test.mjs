import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, bytes, clock, count, language } from "../../../web/js/format.js";

test("sizes are short", () => {
  assert.deepEqual([0, 999, 1000, 145_262_807, 3.1e9, null, NaN].map(bytes), ["0 B", "999 B", "1.0 kB", "145 MB", "3.1 GB", "–", "–"]);
});

test("a place in a recording is as a player shows it", () => {
  assert.deepEqual([0, 7.9, 61, 3729, -1, NaN].map(clock), ["0:00", "0:07", "1:01", "1:02:09", "0:00", "0:00"]);
});

test("ages are rough", () => {
  assert.deepEqual([null, 0, 40, 200, 8000].map(ago), ["–", "just now", "40 s ago", "3 min ago", "2 h ago"]);
});

test("languages have names, and what is none keeps its code", () => {
  assert.deepEqual(["en", "en-GB", "not a tag"].map(language), ["English", "British English", "not a tag"]);
});

test("one is one", () => {
  assert.deepEqual(
    [0, 1, 2].map((number) => count(number, "voice")),
    ["0 voices", "1 voice", "2 voices"],
  );
});
