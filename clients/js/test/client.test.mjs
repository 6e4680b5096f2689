import assert from "node:assert/strict";
import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, test } from "node:test";
import { APIError, ConnectionFailed, InvalidRequest, NotFound, OpenSpeechClient, PlayerFailed, Unauthorized } from "@open-speech/client";
import { clientOf, KEY, Relay, SENTENCE, skip, until, URL_ } from "./server.mjs";

const RATE = 16_000;
/** Longer than the silence that ends a window when voice activity detection is off. */
const SILENCE = new Uint8Array(2 * 15 * RATE);
const SENTENCES = ["One two three.", "Four five six.", "Seven eight nine."];
const client = skip ? null : clientOf();
let clip;
let pcm;

const given = { skip, timeout: 120_000 };
const textsOf = (events) => events.filter((event) => event.type === "transcript" && event.is_final && event.text).map((event) => event.text);

before(async () => {
  if (skip) return;
  clip = await client.speak(SENTENCE, { responseFormat: "wav" });
  pcm = (text) => client.speak(text, { responseFormat: "pcm", sampleRate: RATE });
});

test("files are transcribed in every format", given, async () => {
  assert.equal((await client.transcribe(clip)).text, SENTENCE);
  assert.equal((await client.transcribe(clip.buffer)).text, SENTENCE);
  assert.equal((await client.transcribe(new Blob([clip]), { language: "en", keywords: ["world"] })).text, SENTENCE);
  const verbose = await client.transcribe(clip, { responseFormat: "verbose_json", timestampGranularities: ["word", "segment"] });
  assert.deepEqual(verbose.words.map((word) => word.word), ["Hello", "there", "world."]);
  assert.match(await client.transcribe(clip, { responseFormat: "srt" }), /^1\n00:00:00,/);
  const events = [];
  for await (const event of client.transcribeEvents(clip)) events.push(event);
  assert.equal(events.at(-1).text, SENTENCE);
});

test("speech is received whole, in parts and as events", given, async () => {
  const whole = await client.speak(SENTENCE, { responseFormat: "pcm", cache: false });
  const parts = [];
  for await (const part of client.speakStream(SENTENCE, { responseFormat: "pcm", cache: false })) parts.push(part);
  assert.deepEqual(Buffer.concat(parts), Buffer.from(whole));
  const kinds = new Set();
  for await (const event of client.speakEvents(SENTENCE, { progress: true })) kinds.add(event.type);
  assert.deepEqual(kinds, new Set(["speech.audio.delta", "speech.audio.progress", "speech.audio.done"]));
});

test("speech is played through a function and through a command", given, async () => {
  const played = [];
  await client.play(SENTENCE, async (chunk) => played.push(chunk), { responseFormat: "wav" });
  assert.deepEqual(Buffer.concat(played), Buffer.from(clip));
  const path = join(tmpdir(), `open-speech-${process.pid}.wav`);
  const copy = "process.stdin.pipe(require('node:fs').createWriteStream(process.argv[1]))";
  await client.play(SENTENCE, [process.execPath, "-e", copy, path], { responseFormat: "wav" });
  assert.deepEqual(await readFile(path), Buffer.from(clip));
  await rm(path);
  await assert.rejects(client.play(SENTENCE.repeat(50), ["/nonexistent/player"]), PlayerFailed);
  await assert.rejects(client.play(SENTENCE.repeat(50), [process.execPath, "-e", "process.exit(3)"]), PlayerFailed);
});

test("voices and models are listed, and a model is loaded and unloaded", given, async () => {
  assert.ok((await client.voices()).some((voice) => voice.id === "alloy" && voice.voice === "tone"));
  const seen = [];
  assert.equal((await client.models.load("tones/listen", { onProgress: (state) => seen.push(state.state) })).state, "loaded");
  assert.equal(seen.at(-1), "loaded");
  assert.notEqual((await client.models.unload("tones/listen")).state, "loaded");
  assert.equal((await client.models.pull("tones/listen")).state, "downloaded");
  assert.ok((await client.models.list()).length >= 2);
  await assert.rejects(client.models.get("nonexistent-model"), NotFound);
});

test("a job is submitted, followed, fetched and deleted", given, async () => {
  const job = await client.jobs.submit(clip, { responseFormat: "verbose_json" });
  assert.equal((await client.jobs.wait(job.id)).status, "completed");
  assert.equal((await client.jobs.result(job.id)).text, SENTENCE);
  assert.match(await client.jobs.result(job.id, { responseFormat: "srt" }), /^1\n/);
  await client.jobs.delete(job.id);
  await assert.rejects(client.jobs.get(job.id), NotFound);
  const speech = await client.jobs.submitSpeech(SENTENCE, { responseFormat: "wav" });
  await client.jobs.wait(speech.id);
  assert.equal((await client.transcribe(await client.jobs.result(speech.id))).text, SENTENCE);
  const [one, two] = await client.jobs.submitFiles([clip, clip]);
  assert.equal((await client.jobs.list({ batchId: one.batch_id })).length, 2);
  await client.jobs.wait(two.id);
  const again = { idempotencyKey: "typescript-1" };
  assert.equal((await client.jobs.submit(clip, again)).id, (await client.jobs.submit(clip, again)).id);
});

test("errors have what the server reports", given, async () => {
  await assert.rejects(client.speak("Hello", { model: "nonexistent-model" }), (error) => {
    assert.ok(error instanceof NotFound && error instanceof APIError);
    assert.deepEqual([error.status, error.type, error.code, error.param], [404, "invalid_request_error", "model_not_found", "model"]);
    return Boolean(error.requestId);
  });
  await assert.rejects(clientOf(URL_, { apiKey: "wrong" }).voices(), Unauthorized);
  const aborted = AbortSignal.abort();
  await assert.rejects(client.voices(undefined, { signal: aborted }), { name: "AbortError" });
});

test("a call is repeated if it may be", given, async (t) => {
  const relay = await Relay.start(t);
  relay.refuses = true;
  const options = { retry: { firstMs: 1 } };
  await assert.rejects(clientOf(relay.url, options).voices(), ConnectionFailed);
  assert.equal(relay.connections, 3);
  await assert.rejects(clientOf(relay.url, options).jobs.cancel("job_1"), ConnectionFailed);
  assert.equal(relay.connections, 4);
});

test("a Realtime session transcribes and speaks, and close waits for both", given, async () => {
  const rt = client.realtimeSession({ turnDetection: null });
  const transcripts = [];
  let size = 0;
  rt.onTranscript((event) => transcripts.push(event.transcript)).onAudio((data) => (size += data.length));
  rt.sendAudio(await client.speak(SENTENCE, { responseFormat: "pcm" }));
  rt.commit();
  rt.createResponse("Good morning.", "alloy");
  await rt.close();
  assert.deepEqual(transcripts, [SENTENCE]);
  assert.ok(size > 4800);
  assert.throws(() => rt.commit(), ConnectionFailed);
});

test("a Realtime session reports errors", given, async (t) => {
  const errors = [];
  const wrong = client.realtimeSession({ voice: "nobody" }).onError((error) => errors.push(error.code));
  await assert.rejects(wrong.ready, { code: "voice_not_found" });
  const rt = client.realtimeSession({ turnDetection: null }).onError((error) => errors.push(error.code));
  rt.commit();
  await rt.close();
  assert.deepEqual(errors, ["voice_not_found", "input_audio_buffer_commit_empty"]);
  const relay = await Relay.start(t);
  const lost = [];
  const cut = clientOf(relay.url).realtimeSession().onError((error) => lost.push(error));
  await cut.ready;
  relay.cut();
  await until(() => lost.length);
  assert.ok(lost[0] instanceof ConnectionFailed);
});

for (const cuts of [[], [1], [2], [1, 2, 3]]) {
  test(`a live stream that is cut in sentence ${cuts} loses no text and repeats none`, given, async (t) => {
    const relay = await Relay.start(t);
    const speech = await Promise.all(SENTENCES.map(pcm));
    const events = [];
    async function* audio() {
      for (const [index, sentence] of speech.entries()) {
        yield sentence.subarray(0, 2 * Math.floor(sentence.length / 4));
        if (cuts.includes(index + 1)) {
          await until(() => events.length && textsOf(events).length >= index);
          relay.cut();
        }
        yield sentence.subarray(2 * Math.floor(sentence.length / 4));
        yield SILENCE;
      }
    }
    for await (const event of clientOf(relay.url).streamTranscribe(audio(), { vad: false })) events.push(event);
    assert.deepEqual(textsOf(events), SENTENCES);
    assert.equal(events.filter((event) => event.type === "session.begin").length, 1);
    const seconds = speech.reduce((sum, sentence) => sum + sentence.length + SILENCE.length, 0) / (2 * RATE);
    assert.ok(Math.abs(events.at(-1).duration - seconds) < 0.1);
    // Requests for the reason of a failed handshake may be counted as well.
    assert.ok(relay.connections >= 1 + cuts.length);
    });
}

test("a live stream that cannot be resumed ends with an error", given, async (t) => {
  const drain = async (stream) => {
    for await (const _ of stream);
  };
  await assert.rejects(drain(client.streamTranscribe([new Uint8Array(2)], { sampleRate: 7 })), (error) => {
    return error instanceof InvalidRequest && error.param === "sample_rate";
  });
  await assert.rejects(drain(clientOf(URL_, { apiKey: "wrong" }).streamTranscribe([])), Unauthorized);
  const relay = await Relay.start(t);
  async function* audio() {
    yield new Uint8Array(3200);
    await until(() => relay.open.size);
    relay.refuses = true;
    relay.cut();
    await new Promise(() => undefined);
  }
  await assert.rejects(drain(clientOf(relay.url).streamTranscribe(audio(), { reconnectMs: 1500 })), ConnectionFailed);
  async function* broken() {
    throw new RangeError("no microphone");
  }
  await assert.rejects(drain(client.streamTranscribe(broken())), RangeError);
});

test("the example of the README runs", given, async () => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const [, code] = /<!-- snippet:begin -->\n```ts\n(.*?)```\n<!-- snippet:end -->/s.exec(readme);
  const lines = [];
  const body = code.replace(/^import .*\n/, "").replace('"http://localhost:8100"', `${JSON.stringify(URL_)}, apiKey: ${JSON.stringify(KEY)}`);
  // What the page of the example has: a file beside it, and audio of its microphone.
  const page = {
    OpenSpeechClient,
    fetch: async (path) => (assert.equal(path, "/audio.wav"), new Response(clip)),
    pcmChunk: await client.speak(SENTENCE, { responseFormat: "pcm" }),
    console: { log: (line) => lines.push(line) },
  };
  const Run = Object.getPrototypeOf(async () => undefined).constructor;
  const rt = await new Run(...Object.keys(page), `${body}\nreturn rt;`)(...Object.values(page));
  await rt.close();
  assert.equal(lines[0], SENTENCE);
  assert.deepEqual(lines.slice(1).map((event) => event.transcript), [SENTENCE]);
});
