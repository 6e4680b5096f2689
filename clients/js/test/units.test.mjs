import assert from "node:assert/strict";
import { test } from "node:test";
import { APIError, errorOfResponse, InvalidRequest, ServerFailed, TooManyRequests } from "../dist/errors.js";
import { FrameParser, frameOf, Opcode } from "../dist/frames.js";
import { base64, fieldsOf, formOf, unbase64 } from "../dist/options.js";
import { PendingWork } from "../dist/pending.js";
import { Continuity, ResumableAudio } from "../dist/resume.js";
import { Attempts, delayMs } from "../dist/retry.js";
import { EventParser } from "../dist/sse.js";

const bytes = (text) => new TextEncoder().encode(text);

test("events may be split anywhere, also within a character, and comments are ignored", () => {
  const data = bytes(': keep-alive\n\ndata: {"type":"a","text":"grün\u2028"}\n\ndata: [DONE]\n');
  for (const step of [1, 2, 7, data.length]) {
    const parser = new EventParser();
    const events = [];
    for (let start = 0; start < data.length; start += step) events.push(...parser.feed(data.subarray(start, start + step)));
    assert.deepEqual(events, [{ type: "a", text: "grün\u2028" }]);
  }
});

test("an event with an error throws it", () => {
  const failed = 'data: {"error":{"message":"bad","type":"invalid_request_error","param":"model","code":"x"}}\n';
  assert.throws(() => new EventParser().feed(bytes(failed)), (error) => error instanceof InvalidRequest && error.param === "model");
});

test("the error of a response has every field, and any body makes one", () => {
  const headers = new Headers({ "retry-after": "7", "x-request-id": "r1" });
  const error = errorOfResponse(429, headers, '{"error":{"message":"busy","type":"server_error","param":null,"code":"server_overloaded"}}');
  assert.ok(error instanceof TooManyRequests && error instanceof APIError);
  assert.deepEqual(
    [error.message, error.status, error.type, error.code, error.param, error.requestId, error.retryAfter, error.isInvalidRequest],
    ["busy", 429, "server_error", "server_overloaded", null, "r1", 7, false],
  );
  assert.ok(errorOfResponse(502, new Headers(), "<html>bad gateway") instanceof ServerFailed);
});

test("options become the fields of the API", () => {
  assert.deepEqual(fieldsOf({ maxCharsPerSecond: 17, minGapMs: 80, language: undefined, signal: {} }), { max_chars_per_second: 17, min_gap_ms: 80 });
  const form = formOf({ languages: ["en", "de"], diarize: true }, [new Uint8Array([1])]);
  assert.deepEqual([form.get("languages"), form.get("diarize"), form.get("file").name], ['["en","de"]', "true", "audio"]);
  const data = new Uint8Array(100_000).map((_, index) => index * 7);
  assert.deepEqual(unbase64(base64(data)), data);
});

test("delays double, are bounded, and are at least those of the server", () => {
  const retry = { attempts: 9, firstMs: 100, longestMs: 1000 };
  for (const [failures, least] of [[1, 100], [2, 200], [3, 400], [9, 1000]]) {
    const delay = delayMs(retry, failures);
    assert.ok(delay >= least && delay <= least * 1.25);
  }
  assert.ok(delayMs(retry, 1, 5) >= 5000);
});

test("a call that must not be repeated is not, nor one whose server names a long time", async () => {
  const busy = errorOfResponse(429, new Headers({ "retry-after": "60" }), "");
  await assert.rejects(new Attempts({ attempts: 3, firstMs: 1, longestMs: 10 }, true).after(busy), busy);
  await assert.rejects(new Attempts({ attempts: 3, firstMs: 1, longestMs: 10 }, false).after(new Error()), Error);
});

test("audio that is not final is sent again, and only that", () => {
  const audio = new ResumableAudio(4);
  audio.append(new Uint8Array([0, 1, 2]));
  audio.append(new Uint8Array([3, 4, 5, 6, 7, 8, 9, 10, 11]));
  assert.deepEqual([...audio.take(5)], [0, 1, 2, 3, 4]);
  assert.deepEqual([...audio.take(99)], [5, 6, 7, 8, 9, 10, 11]);
  audio.settle(0.6); // 2.4 samples: 2 whole ones
  audio.restart();
  assert.deepEqual([audio.baseSeconds, [...audio.take(99)]], [0.5, [4, 5, 6, 7, 8, 9, 10, 11]]);
  audio.settle(0.5);
  audio.restart();
  assert.deepEqual([audio.baseSeconds, audio.seconds, [...audio.take(99)]], [1, 0.5, [8, 9, 10, 11]]);
  audio.settle(99);
  assert.equal(audio.seconds, 0);
});

test("times are those of the whole stream, and speech that is detected twice is reported once", () => {
  const audio = new ResumableAudio(10);
  const stream = new Continuity(audio);
  const final = (text, start, end, speech_final, final_until) => ({ type: "transcript", text, start, end, is_final: true, speech_final, final_until });
  assert.equal(stream.accept({ type: "session.begin" }).length, 1);
  audio.append(new Uint8Array(200));
  audio.take(200);
  assert.equal(stream.accept({ type: "vad", state: "speech_start", at: 1 }).length, 1);
  assert.deepEqual(stream.accept(final("one", 1, 3.9, false, 4))[0].end, 3.9);
  audio.restart();
  assert.equal(stream.accept({ type: "session.begin" }).length, 0);
  assert.equal(stream.accept({ type: "vad", state: "speech_start", at: 0 }).length, 0);
  assert.deepEqual(stream.accept({ type: "vad", state: "speech_end", at: 2 }), [{ type: "vad", state: "speech_end", at: 6 }]);
  assert.equal(stream.accept({ type: "progress", final_until: 3 }).length, 0);
  const [closing, end] = stream.accept({ type: "session.end", duration: 6 });
  assert.deepEqual([closing.text, closing.speech_final, end.duration], ["", true, 10]);
});

test("frames of every length survive, in pieces of any size, with fragments and control frames between", () => {
  const unmasked = (frame) => {
    const header = (frame[1] & 0x7f) < 126 ? 2 : (frame[1] & 0x7f) === 126 ? 4 : 10;
    const data = frame.slice(header + 4);
    return new Uint8Array([frame[0], frame[1] & 0x7f, ...frame.slice(2, header), ...data]);
  };
  for (const size of [0, 1, 125, 126, 65_535, 65_536]) {
    const data = new Uint8Array(size).map((_, index) => index);
    const frame = unmasked(frameOf(Opcode.BINARY, data, new Uint8Array(4)));
    for (const step of [1000, frame.length]) {
      const parser = new FrameParser();
      const found = [];
      for (let start = 0; start < frame.length; start += step) found.push(...parser.feed(frame.subarray(start, start + step)));
      assert.deepEqual(found, [{ opcode: Opcode.BINARY, data }]);
    }
  }
  const masked = frameOf(Opcode.TEXT, bytes("abc"), new Uint8Array([1, 2, 3, 4]));
  assert.deepEqual([...masked], [0x81, 0x83, 1, 2, 3, 4, 96, 96, 96]);
  const parser = new FrameParser();
  const pieces = [[0x01, 1, 97], [0x89, 0], [0x00, 1, 98], [0x80, 1, 99]];
  const found = pieces.flatMap((piece) => parser.feed(new Uint8Array(piece)));
  assert.deepEqual(found.map(({ opcode, data }) => [opcode, new TextDecoder().decode(data)]), [[Opcode.PING, ""], [Opcode.TEXT, "abc"]]);
  for (const wrong of [[0xc1, 0], [0x81, 0x80], [0x80, 0], [0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0]]) {
    assert.throws(() => new FrameParser().feed(new Uint8Array(wrong)), Error);
  }
});

test("a session knows what it still owes", () => {
  const work = new PendingWork();
  work.sent({ type: "input_audio_buffer.commit", event_id: "c1" });
  work.sent({ type: "response.create", event_id: "c2" });
  work.received({ type: "error", error: { event_id: "c1" } });
  assert.ok(work.isOpen);
  work.received({ type: "response.created", response: { id: "r" } });
  work.received({ type: "response.done", response: { id: "r" } });
  assert.ok(!work.isOpen);
  work.received({ type: "input_audio_buffer.speech_stopped" });
  work.received({ type: "input_audio_buffer.committed", item_id: "i" });
  assert.ok(work.isOpen);
  work.received({ type: "conversation.item.input_audio_transcription.completed", item_id: "i" });
  assert.ok(!work.isOpen);
});
