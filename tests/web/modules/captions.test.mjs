import assert from "node:assert/strict";
import { test } from "node:test";
import { WRITERS, stamp } from "../../../web/js/captions.js";

const TRANSCRIPT = {
  text: "Hello there. Is 1 < 2?",
  language: "en",
  segments: [
    { start: 0, end: 1.5, text: "Hello there." },
    { start: 2, end: 2, text: "  " },
    { start: 3661.0005, end: 3662.2, text: "Is 1 < 2?" },
  ],
};

test("a time has hours, minutes, seconds and thousandths", () => {
  assert.deepEqual(
    [0, 0.0004, 59.9996, 3661.25, -1].map((s) => stamp(s, ",")),
    ["00:00:00,000", "00:00:00,000", "00:01:00,000", "01:01:01,250", "00:00:00,000"],
  );
});

test("subtitles count what was said and leave silence out", () => {
  assert.equal(WRITERS.srt(TRANSCRIPT), "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n\n2\n01:01:01,001 --> 01:01:02,200\nIs 1 < 2?\n");
});

test("WebVTT has its first line and no bare angle brackets", () => {
  assert.equal(
    WRITERS.vtt(TRANSCRIPT),
    "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello there.\n\n01:01:01.001 --> 01:01:02.200\nIs 1 &lt; 2?\n",
  );
});

test("speakers are named in every format", () => {
  const said = { text: "Yes.", segments: [{ start: 0, end: 1, text: "Yes.", speaker: "A" }] };
  assert.equal(WRITERS.txt(said), "A: Yes.\n");
  assert.match(WRITERS.srt(said), /\nA: Yes\.\n/);
  assert.match(WRITERS.vtt(said), /\n<v A>Yes\.\n/);
});

test("text and JSON hold all of it", () => {
  assert.equal(WRITERS.txt(TRANSCRIPT), "Hello there. Is 1 < 2?\n");
  assert.deepEqual(JSON.parse(WRITERS.json(TRANSCRIPT)), TRANSCRIPT);
});

test("a blank line in a text does not end its cue", () => {
  assert.match(WRITERS.srt({ text: "", segments: [{ start: 0, end: 1, text: "one\n\n\ntwo" }] }), /\none\ntwo\n$/);
});
