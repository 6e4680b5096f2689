/**
 * Load test of a running server with k6: transcription, speech and live transcription.
 * docs/load-testing.md describes how to run it and what its numbers mean.
 */

import { check, fail, sleep } from "k6";
import http from "k6/http";
import { Trend } from "k6/metrics";
import { clearInterval, clearTimeout, setInterval, setTimeout } from "k6/timers";
import { WebSocket } from "k6/websockets";

const HOST = (__ENV.HOST || "http://127.0.0.1:8100").replace(/\/$/, "");
const TEXT = __ENV.LOAD_TEXT || "The quick brown fox jumps over the lazy dog.";
const HEADERS = __ENV.LOAD_API_KEY ? { Authorization: `Bearer ${__ENV.LOAD_API_KEY}` } : {};
const USERS = Number(__ENV.LOAD_USERS || 2);
const DURATION = __ENV.LOAD_DURATION || "30s";
const TIMEOUT = "120s";

/** Sample rate of the recording in Hz. */
const RATE = 16000;
/** Length in ms of the pieces in which live audio is sent, at the speed of speech. */
const CHUNK_MS = 100;
/** Size of the header of a WAV file. */
const HEADER_BYTES = 44;
/** Time in ms after which a live session without an end is a failure. */
const SESSION_MS = 120000;

const firstAudio = new Trend("speech_first_byte", true);
const afterSpeech = new Trend("live_end_to_transcript", true);

const scenario = (exec) => ({ executor: "constant-vus", exec, vus: USERS, duration: DURATION, gracefulStop: TIMEOUT });

export const options = {
  insecureSkipTLSVerify: true,
  scenarios: { transcription: scenario("transcription"), speech: scenario("speech"), live: scenario("live") },
  thresholds: { checks: ["rate>0.99"], http_req_failed: ["rate<0.01"] },
};

/** The fields among `fields` that have a value; the server has a default for each of the others. */
const named = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value));

const speechBody = (more = {}) =>
  JSON.stringify({
    input: TEXT,
    response_format: "wav",
    ...named({ model: __ENV.LOAD_TTS_MODEL, voice: __ENV.LOAD_VOICE }),
    ...more,
  });

const postSpeech = (body) =>
  http.post(`${HOST}/v1/audio/speech`, body, {
    headers: { ...HEADERS, "Content-Type": "application/json" },
    responseType: "binary",
    timeout: TIMEOUT,
  });

// Files are opened before the test starts: k6 allows it nowhere else.
const opened = __ENV.LOAD_AUDIO ? open(__ENV.LOAD_AUDIO, "b") : null;

let spoken = null;

/**
 * The recording: LOAD_AUDIO, or LOAD_TEXT as the server speaks it. Each virtual user has its own copy.
 *
 * @returns {ArrayBuffer}
 */
function recording() {
  if (opened) return opened;
  if (!spoken) {
    const answer = postSpeech(speechBody({ sample_rate: RATE }));
    if (answer.status !== 200) fail(`The server did not speak: ${answer.status}`);
    spoken = answer.body;
  }
  return spoken;
}

export function transcription() {
  const form = { file: http.file(recording(), "speech.wav", "audio/wav"), response_format: "json", ...named({ model: __ENV.LOAD_STT_MODEL }) };
  const answer = http.post(`${HOST}/v1/audio/transcriptions`, form, { headers: HEADERS, timeout: TIMEOUT });
  check(answer, { "transcript has words": (got) => got.status === 200 && got.json("text").trim() !== "" });
  sleep(1);
}

export function speech() {
  const answer = postSpeech(speechBody());
  check(answer, { "speech has audio": (got) => got.status === 200 && got.body.byteLength > HEADER_BYTES });
  firstAudio.add(answer.timings.waiting);
  sleep(1);
}

export function live() {
  const audio = recording().slice(HEADER_BYTES);
  const step = (RATE * 2 * CHUNK_MS) / 1000;
  const query = [`sample_rate=${RATE}`];
  if (__ENV.LOAD_STT_MODEL) query.push(`model=${encodeURIComponent(__ENV.LOAD_STT_MODEL)}`);
  const socket = new WebSocket(`${HOST.replace(/^http/, "ws")}/v1/audio/stream?${query.join("&")}`, null, { headers: HEADERS });
  socket.binaryType = "arraybuffer";
  let at = 0;
  let stopped = 0;
  let words = "";
  let ended = false;
  let sender = null;
  const limit = setTimeout(() => socket.close(), SESSION_MS);

  socket.addEventListener("open", () => {
    sender = setInterval(() => {
      if (at < audio.byteLength) {
        socket.send(audio.slice(at, at + step));
        at += step;
        return;
      }
      clearInterval(sender);
      stopped = Date.now();
      socket.send(JSON.stringify({ type: "stop" }));
    }, CHUNK_MS);
  });
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "transcript" && message.is_final) words += ` ${message.text}`;
    if (message.type === "session.end") {
      ended = true;
      afterSpeech.add(Date.now() - stopped);
      socket.close();
    }
  });
  socket.addEventListener("close", () => {
    clearInterval(sender);
    clearTimeout(limit);
    check(words, { "live transcript has words": (text) => ended && text.trim() !== "" });
  });
}
