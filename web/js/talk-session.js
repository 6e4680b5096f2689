/** A spoken conversation: microphone, session, loudspeaker and history, without the page around them. */

import { errorOf } from "./api.js";
import { Conversation } from "./conversation.js";
import { listen } from "./microphone.js";
import { RealtimeCall, isOffered } from "./realtime-call.js";
import { RATE, RealtimeSession, decoded } from "./realtime.js";
import { SentAudio } from "./sent-audio.js";
import { PcmReader, level, toPcm } from "./sound.js";
import { Speaker } from "./speaker.js";

/** Milliseconds of the shortest turn: a shorter press was a slip. */
const SHORTEST_MS = 300;
/** Milliseconds that are recorded after the button is released: the last block of the microphone is still on its way. */
const TAIL_MS = 120;
/** Milliseconds of silence that end a turn in hands-free mode, on a server that cannot decide by meaning. */
const SILENCE_MS = 600;

/** @typedef {"off" | "connecting" | "ready" | "speaking" | "thinking" | "answering"} State */

export class TalkSession {
  conversation = new Conversation();
  #speaker = new Speaker();
  /** @type {RealtimeSession | RealtimeCall | null} */
  #session = null;
  /** The response that the server plays over WebRTC; empty while it plays none. */
  #playing = "";
  /** Whether audio reaches the server over WebRTC, and its position in the server's audio is known. */
  #connected = false;
  /** @type {MediaStream | null} of the microphone */
  #stream = null;
  /** @type {Promise<void> | null} */
  #opening = null;
  #open = false;
  /** @type {() => void} */
  #hangUp = () => {};
  #sent = new SentAudio(RATE);
  /** @type {{pcm: ArrayBuffer, at: number}[]} recorded before the session began */
  #early = [];
  /** Whether what the microphone records is sent. */
  #sending = false;
  #handsFree = false;
  /** The position in the audio at which the turn of the pressed button begins, in milliseconds. */
  #pressedAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #tail;
  /** @type {() => void} */
  onState = () => {};
  /** @type {(error: Error) => void} */
  onError = () => {};
  /** @type {(level: number) => void} the level of what the microphone records, in [0, 1] */
  onLevel = () => {};
  /** @type {() => void} the button was pressed too briefly */
  onTooShort = () => {};

  constructor() {
    this.#speaker.onStart = (item) => (this.conversation.started(item, performance.now()), this.onState());
    this.#speaker.onIdle = () => this.onState();
  }

  /** @returns {State} */
  get state() {
    if (this.#opening) return "connecting";
    if (!this.#open) return "off";
    if (this.conversation.speaking) return "speaking";
    if (!this.#speaker.isIdle || this.#playing) return "answering";
    const waits = this.conversation.answer || this.conversation.turns.at(-1)?.state === "transcribing";
    return waits ? "thinking" : "ready";
  }

  /** Prepare the loudspeaker; called in a tap or a key press. */
  wake() {
    void this.#speaker.wake().catch(this.onError);
  }

  /**
   * Begin a session, unless there is one.
   *
   * @param {{model: string, voice: string, instructions: string, handsFree: boolean, byMeaning: boolean}} options
   */
  async start(options) {
    if (this.#open) return;
    this.#opening ??= this.#start(options).finally(() => ((this.#opening = null), this.onState()));
    this.onState();
    await this.#opening;
  }

  /** @param {{model: string, voice: string, instructions: string, handsFree: boolean, byMeaning: boolean}} options */
  async #start(options) {
    this.#sent = new SentAudio(RATE);
    this.#early = [];
    this.#handsFree = options.handsFree;
    if (options.handsFree) this.#sending = true;
    /** @type {RealtimeSession | RealtimeCall} */
    let session = this.#follow(new RealtimeSession());
    try {
      const microphone = listen((samples) => this.#recorded(samples), RATE, (stream) => (this.#stream = stream));
      // With the button, nothing that is said before the connection is there may be lost: the WebSocket sends it later.
      const calls = options.handsFree ? isOffered() : false;
      const [hangUp, isCall] = await Promise.all([microphone, calls, this.#speaker.wake()]);
      if (session !== this.#session) return hangUp();
      this.#hangUp = hangUp;
      if (isCall) session = await this.#call(options, session);
      if (session !== this.#session) return session.close();
      if (!session.isCall) await session.open(options.model, configuration(options), this.conversation.items);
      if (session !== this.#session) return session.close();
      this.#open = true;
      for (const { pcm, at } of this.#early.splice(0)) this.#append(pcm, at);
    } catch (error) {
      if (session === this.#session) this.#ended(error);
    }
  }

  /**
   * Try a session over WebRTC.
   *
   * @param {{model: string, voice: string, instructions: string, handsFree: boolean}} options
   * @param {RealtimeSession} otherwise the session to use if that fails
   * @returns {Promise<RealtimeSession | RealtimeCall>}
   */
  async #call(options, otherwise) {
    const call = this.#follow(new RealtimeCall(this.#stream));
    call.onConnected = () => (this.#connected = true);
    call.onHeard = (samples) => this.#playing && this.conversation.heard(this.#playing, toPcm(samples), samples.length / RATE);
    try {
      await call.open(options.model, configuration(options), this.conversation.items);
      return call;
    } catch {
      this.#connected = false;
      if (call === this.#session) this.#session = otherwise;
      return otherwise;
    }
  }

  /**
   * Make a session the current one.
   *
   * @template {RealtimeSession | RealtimeCall} T
   * @param {T} session
   * @returns {T}
   */
  #follow(session) {
    this.#session = session;
    session.onEvent = (event) => this.#received(event);
    session.onError = (error) => this.onError(error);
    session.onEnd = (error) => session === this.#session && this.#ended(error);
    return session;
  }

  /**
   * Send other instructions to the session in progress.
   *
   * @param {string} instructions
   */
  instruct(instructions) {
    this.#session?.send({ type: "session.update", session: { type: "realtime", instructions } });
  }

  /** End the session. The history stays. */
  stop() {
    const session = this.#session;
    this.#ended(null);
    session?.close();
  }

  /** The button is pressed: what is said from now on is the next turn. */
  async press() {
    clearTimeout(this.#tail);
    if (this.#sending) return;
    // The part of a press before the session began counts as well.
    this.#pressedAt = this.#sent.ms;
    this.#sending = true;
    this.conversation.begin();
    this.onState();
    await this.interrupt();
  }

  /** The button is released: the turn ends. */
  release() {
    const turn = this.conversation.speaking;
    if (!this.#sending || !turn) return;
    const at = performance.now();
    this.#tail = setTimeout(() => this.#commit(turn, at), TAIL_MS);
  }

  /**
   * @param {import("./conversation.js").Turn} turn
   * @param {number} at
   */
  #commit(turn, at) {
    this.#sending = false;
    this.#early = [];
    const from = this.#pressedAt;
    if (this.#sent.ms - from < SHORTEST_MS) {
      this.#session?.send({ type: "input_audio_buffer.clear" });
      this.conversation.remove(turn);
      this.onTooShort();
    } else {
      this.#session?.send({ type: "input_audio_buffer.commit" });
      this.#session?.send({ type: "response.create" });
      this.conversation.end(turn, at, this.#sent.slice(from, this.#sent.ms));
    }
    this.onState();
  }

  /** Stop the answer that is being generated or played, and cut it where its playback stopped. */
  async interrupt() {
    if (this.#session?.isCall) return; // the server plays the answer, and stops and cuts it itself
    const turn = this.conversation.turns.findLast(({ who }) => who === "assistant");
    const inProgress = this.conversation.answer === turn;
    if (!turn || (!inProgress && this.#speaker.isIdle)) return;
    if (inProgress && !this.#handsFree) this.#session?.send({ type: "response.cancel" });
    turn.state = "interrupted";
    const played = (await this.#speaker.stop()).get(turn.item) ?? 0;
    const seconds = Math.min(played, turn.seconds);
    if (turn.item && seconds < turn.seconds) {
      const end = Math.floor(seconds * 1000);
      this.#session?.send({ type: "conversation.item.truncate", item_id: turn.item, content_index: 0, audio_end_ms: end });
      // The server knows where each sentence begins in the audio: its cut is the exact one.
      this.#session?.send({ type: "conversation.item.retrieve", item_id: turn.item });
    }
    this.conversation.interrupt(turn, seconds);
    this.onState();
  }

  /** @param {Float32Array} samples */
  #recorded(samples) {
    this.onLevel(level(samples));
    if (!this.#sending) return;
    const block = { pcm: toPcm(samples), at: performance.now() };
    if (this.#connected) this.#sent.push(block.pcm, block.at);
    else if (this.#open) this.#append(block.pcm, block.at);
    else this.#early.push(block);
  }

  /**
   * @param {ArrayBuffer} pcm
   * @param {number} at
   */
  #append(pcm, at) {
    this.#sent.push(pcm, at);
    this.#session?.append(pcm);
  }

  /** @param {any} event */
  #received(event) {
    const now = performance.now();
    const talk = this.conversation;
    switch (event.type) {
      case "input_audio_buffer.speech_started":
        talk.begin(event.item_id).start = event.audio_start_ms;
        void this.interrupt();
        break;
      case "input_audio_buffer.speech_stopped": {
        const turn = talk.turns.findLast(({ item }) => item === event.item_id);
        const pcm = this.#sent.slice(turn?.start ?? 0, event.audio_end_ms);
        if (turn) talk.end(turn, this.#sent.timeOf(event.audio_end_ms), pcm);
        break;
      }
      case "response.output_audio.delta": {
        const bytes = decoded(event.delta);
        const samples = new PcmReader().feed(bytes);
        if (talk.audio(event, bytes.buffer, samples.length / RATE)) this.#speaker.play(event.item_id, samples);
        break;
      }
      case "output_audio_buffer.started": {
        this.#playing = event.response_id;
        const turn = talk.turns.findLast(({ response }) => response === event.response_id);
        if (turn) talk.started(turn.item, now);
        break;
      }
      case "output_audio_buffer.stopped":
      case "output_audio_buffer.cleared":
        if (this.#playing === event.response_id) this.#playing = "";
        break;
      case "conversation.item.truncated":
        if (this.#session?.isCall && talk.truncated(event.item_id)) {
          this.#session.send({ type: "conversation.item.retrieve", item_id: event.item_id });
        }
        break;
      case "response.done":
        talk.take(event, now);
        if (event.response.status === "failed") this.onError(errorOf(event.response.status_details));
        break;
      case "conversation.item.input_audio_transcription.completed":
        talk.take(event, now);
        // Without words there is nothing to answer. With detected turns the server knows that itself.
        if (!event.transcript.trim() && talk.answer && !this.#handsFree) this.#session?.send({ type: "response.cancel" });
        break;
      default:
        talk.take(event, now);
    }
    this.onState();
  }

  /** @param {Error | null} error */
  #ended(error) {
    this.#session = null;
    this.#open = this.#sending = this.#connected = false;
    this.#playing = "";
    this.#stream = null;
    clearTimeout(this.#tail);
    this.#hangUp();
    this.#hangUp = () => {};
    void this.#speaker.stop();
    this.conversation.disconnect();
    this.onLevel(0);
    if (error) this.onError(error);
    this.onState();
  }
}

/** @param {{voice: string, instructions: string, handsFree: boolean, byMeaning: boolean}} options */
function configuration({ voice, instructions, handsFree, byMeaning }) {
  const format = { type: "audio/pcm", rate: RATE };
  const ending = byMeaning ? { type: "semantic_vad" } : { type: "server_vad", silence_duration_ms: SILENCE_MS };
  const detection = { ...ending, create_response: true, interrupt_response: true };
  return {
    type: "realtime",
    instructions,
    audio: {
      input: { format, transcription: { model: "whisper-1" }, turn_detection: handsFree ? detection : null },
      output: { format, ...(voice ? { voice } : {}) },
    },
  };
}
