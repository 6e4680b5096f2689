import assert from "node:assert/strict";
import { test } from "node:test";
import { EventReader } from "../../../web/js/sse.js";

const STREAM = ': keep-alive\n\ndata: {"a":1}\n\nevent: x\r\ndata: two\r\ndata:  lines\r\n\r\nid: 7\rdata\r\rdata: last\n\n';
const EVENTS = ['{"a":1}', "two\n lines", "", "last"];

test("events are read whole however the text is cut", () => {
  for (let size = 1; size <= STREAM.length; size++) {
    const reader = new EventReader();
    const read = [];
    for (let at = 0; at < STREAM.length; at += size) read.push(...reader.feed(STREAM.slice(at, at + size)));
    assert.deepEqual(read, EVENTS, `pieces of ${size}`);
  }
});

test("an event without its blank line is not there yet", () => {
  const reader = new EventReader();
  assert.deepEqual(reader.feed("data: half\n"), []);
  assert.deepEqual(reader.feed("\n"), ["half"]);
});
