/** One session of the Realtime API over WebRTC: `POST /v1/realtime/calls`. Audio is on the tracks, events are on a data channel. */

import { ApiError, ask, getJson } from "./api.js";
import { RATE, RealtimeEvents } from "./realtime.js";
import { capture } from "./microphone.js";

/** How long the connection may take, in milliseconds, before the WebSocket is used instead: UDP may be blocked on the way. */
const CONNECT_MS = 6000;

/** Whether a call has failed: the next sessions of this page use the WebSocket at once. */
let hasFailed = false;

/** Whether the server accepts calls, and this browser can make them. */
export async function isOffered() {
  if (hasFailed || !("RTCPeerConnection" in window)) return false;
  const found = await getJson("v1/realtime/calls").catch(() => null);
  return Boolean(found?.available);
}

export class RealtimeCall extends RealtimeEvents {
  /** The server plays the answers, and cuts them when they are interrupted. */
  isCall = true;
  /** @type {RTCPeerConnection | null} */
  #connection = null;
  /** @type {RTCDataChannel | null} */
  #channel = null;
  #stream;
  #player = new Audio();
  /** @type {() => void} */
  #stopCapture = () => {};
  /** @type {() => void} audio reaches the server from now on */
  onConnected = () => {};
  /** @type {(samples: Float32Array) => void} what the server plays, at RATE */
  onHeard = () => {};

  /** @param {MediaStream} stream of the microphone */
  constructor(stream) {
    super();
    this.#stream = stream;
  }

  /**
   * Connect; resolves when the session has begun. Throws ApiError, after which the WebSocket may be tried.
   *
   * @param {string} model of language; empty for the server's own
   * @param {object} session configuration
   * @param {object[]} items of the conversation so far
   */
  async open(model, session, items = []) {
    try {
      await this.#open({ ...session, model: model || "gpt-realtime" });
    } catch (error) {
      hasFailed = true;
      this.#close();
      throw error;
    }
    for (const item of items) this.send({ type: "conversation.item.create", item });
  }

  /** @param {object} session */
  async #open(session) {
    const connection = new RTCPeerConnection();
    this.#connection = connection;
    for (const track of this.#stream.getAudioTracks()) connection.addTrack(track, this.#stream);
    connection.ontrack = ({ streams, track }) => void this.#play(streams[0] ?? new MediaStream([track]));
    const channel = connection.createDataChannel("oai-events");
    this.#channel = channel;
    const begun = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new ApiError("The server cannot be reached over WebRTC.")), CONNECT_MS);
      const settle = (act, value) => (clearTimeout(timer), act(value));
      channel.onmessage = () => settle(resolve);
      connection.onconnectionstatechange = () => {
        if (connection.connectionState === "connected") this.onConnected();
        else if (connection.connectionState === "failed") settle(reject, new ApiError("The server cannot be reached over WebRTC."));
      };
    });
    begun.catch(() => undefined); // it may fail before it is awaited
    await connection.setLocalDescription();
    const form = new FormData();
    form.set("sdp", connection.localDescription.sdp);
    form.set("session", JSON.stringify(session));
    const answer = await ask("v1/realtime/calls", { form, accept: "application/sdp" });
    await connection.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    await begun;
    channel.onmessage = ({ data }) => this.received(JSON.parse(data));
    channel.onclose = () => this.end(this.trouble);
    connection.onconnectionstatechange = () => {
      if (["failed", "closed"].includes(connection.connectionState)) this.end(new ApiError("The connection to the server was lost."));
    };
    this.begin();
  }

  /**
   * Play what the server sends. The element is what the browser's echo cancellation listens to.
   *
   * @param {MediaStream} stream
   */
  async #play(stream) {
    this.#player.srcObject = stream;
    await this.#player.play().catch(this.onError);
    this.#stopCapture = await capture(stream, (samples) => this.onHeard(samples), RATE);
  }

  /** Audio is on the track. */
  append() {}

  /** @param {object} event */
  transmit(event) {
    if (this.#channel?.readyState === "open") this.#channel.send(JSON.stringify(event));
  }

  disconnect() {
    this.#close();
  }

  #close() {
    this.#stopCapture();
    this.#player.srcObject = null;
    if (this.#channel) this.#channel.onclose = null;
    if (this.#connection) this.#connection.onconnectionstatechange = null;
    this.#connection?.close();
  }
}
