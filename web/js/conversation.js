/** A conversation with the assistant, from the events of a Realtime session: who said what, and how long each stage took. Pure. */

/** Bytes of audio that are kept for playing it again, half an hour; the oldest is dropped first. */
const KEPT_BYTES = 24_000 * 2 * 1800;

/**
 * @typedef {object} Turn
 * @property {number} key
 * @property {"user" | "assistant"} who
 * @property {string} item id of the server; empty while it is not known
 * @property {string} response id of the server; empty for the user
 * @property {"speaking" | "transcribing" | "thinking" | "answering" | "done" | "interrupted" | "failed"} state
 * @property {string} text
 * @property {string} unspoken the end of an interrupted answer, which was not played
 * @property {string} error
 * @property {ArrayBuffer[]} pcm
 * @property {number} start the position in the session's audio at which a turn of the user begins, in milliseconds
 * @property {number} seconds of audio that arrived
 * @property {[number, string][]} marks the second at which each piece of the text begins, and the piece
 * @property {boolean} isPressed whether the user held a button to speak it
 * @property {Turn | null} question the turn of the user that it answers
 * @property {{end?: number, transcript?: number, text?: number, audio?: number}} times milliseconds of the page's clock
 */

export class Conversation {
  /** @type {Turn[]} */
  turns = [];
  #key = 0;
  /** @type {(turn: Turn) => void} a turn is new or has changed */
  onChange = () => {};
  /** @type {(turn: Turn) => void} */
  onRemove = () => {};

  /** The answer in progress, as the server sees it. */
  get answer() {
    return this.turns.findLast(({ state }) => state === "thinking" || state === "answering") ?? null;
  }

  /** The turn that the user is speaking. */
  get speaking() {
    return this.turns.findLast(({ state }) => state === "speaking") ?? null;
  }

  /** What a new session has to know of this conversation: the texts so far, as items. */
  get items() {
    return this.turns
      .filter(({ state, text }) => text.trim() && (state === "done" || state === "interrupted"))
      .map(({ who, text }) => ({
        type: "message",
        role: who,
        content: [who === "user" ? { type: "input_text", text } : { type: "output_text", text }],
      }));
  }

  /**
   * The user begins to speak.
   *
   * @param {string} [item]
   */
  begin(item = "") {
    return this.#add({ who: "user", item, state: "speaking", isPressed: !item });
  }

  /**
   * The user has spoken.
   *
   * @param {Turn} turn
   * @param {number} at
   * @param {ArrayBuffer[]} pcm
   */
  end(turn, at, pcm) {
    turn.times.end = at;
    turn.pcm = pcm;
    if (turn.state === "speaking") turn.state = "transcribing";
    this.#limit();
    this.onChange(turn);
  }

  /**
   * Take an event of the server.
   *
   * @param {any} event
   * @param {number} now
   */
  take(event, now) {
    switch (event.type) {
      case "input_audio_buffer.committed":
        return void this.#user(event.item_id);
      case "conversation.item.input_audio_transcription.delta":
        return this.#transcript(event, (turn) => (turn.text += event.delta));
      case "conversation.item.input_audio_transcription.completed":
        return this.#transcript(event, (turn) => this.#transcribed(turn, event.transcript.trim(), now));
      case "conversation.item.input_audio_transcription.failed":
        return this.#transcript(event, (turn) => this.#fail(turn, event.error?.message));
      case "response.created":
        return void this.#add({ who: "assistant", response: event.response.id, state: "thinking", question: this.#question() });
      case "response.output_audio_transcript.delta":
      case "response.output_text.delta":
        return this.#answer(event, (turn) => this.#text(turn, event.delta, now));
      case "response.done":
        return this.#done(event.response);
      case "conversation.item.retrieved":
        return this.#cut(event.item);
    }
  }

  /**
   * Add audio of an answer.
   *
   * @param {{response_id: string, item_id: string}} event
   * @param {ArrayBuffer} pcm
   * @param {number} seconds
   * @returns {boolean} whether it is to be played: an interrupted answer is not
   */
  audio(event, pcm, seconds) {
    let isPlayed = false;
    this.#answer(event, (turn) => {
      turn.pcm.push(pcm);
      turn.seconds += seconds;
      isPlayed = true;
    });
    this.#limit();
    return isPlayed;
  }

  /**
   * Add audio of an answer that the server plays, as it is heard.
   *
   * @param {string} response
   * @param {ArrayBuffer} pcm
   * @param {number} seconds
   */
  heard(response, pcm, seconds) {
    const turn = this.turns.findLast((turn) => turn.response === response);
    if (!turn) return;
    turn.pcm.push(pcm);
    turn.seconds += seconds;
    this.#limit();
  }

  /**
   * The server has cut an answer that was interrupted: its item says where.
   *
   * @param {string} item
   * @returns {boolean} whether there is such an answer
   */
  truncated(item) {
    const turn = this.turns.findLast((turn) => turn.item === item);
    if (turn) this.#set(turn, "interrupted");
    return Boolean(turn);
  }

  /**
   * The first audio of an answer is played.
   *
   * @param {string} item
   * @param {number} now
   */
  started(item, now) {
    const turn = this.turns.findLast((turn) => turn.item === item);
    if (!turn || turn.times.audio) return;
    turn.times.audio = now;
    this.onChange(turn);
  }

  /**
   * Cut an answer that was interrupted after these seconds of its audio.
   *
   * @param {Turn} turn
   * @param {number} seconds
   */
  interrupt(turn, seconds) {
    if (!this.turns.includes(turn)) return;
    const whole = turn.text;
    turn.text = turn.marks.length ? textBefore(turn.marks, seconds, turn.seconds) : "";
    turn.unspoken = whole.slice(turn.text.length);
    turn.pcm = cut(turn.pcm, Math.floor(seconds * 24_000) * 2);
    turn.state = "interrupted";
    if (whole.trim()) this.onChange(turn);
    else this.remove(turn);
  }

  /** @param {Turn} turn */
  remove(turn) {
    this.turns = this.turns.filter((other) => other !== turn);
    this.onRemove(turn);
  }

  /** The connection has ended: nothing that is under way will be completed. */
  disconnect() {
    for (const turn of [...this.turns]) {
      if (turn.state === "answering") this.#set(turn, "interrupted");
      else if (turn.state === "transcribing" && turn.text.trim()) this.#set(turn, "done");
      else if (["speaking", "transcribing", "thinking"].includes(turn.state)) this.remove(turn);
    }
  }

  /**
   * @param {Turn} turn
   * @param {Turn["state"]} state
   */
  #set(turn, state) {
    turn.state = state;
    this.onChange(turn);
  }

  /** @param {Partial<Turn>} about */
  #add(about) {
    const blank = { item: "", response: "", text: "", unspoken: "", error: "", seconds: 0, start: 0, isPressed: false, question: null };
    /** @type {any} */
    const turn = { key: ++this.#key, ...blank, pcm: [], marks: [], times: {}, ...about };
    this.turns.push(turn);
    this.onChange(turn);
    return turn;
  }

  /** The last turn of the user, unless it was answered already. */
  #question() {
    const last = this.turns.findLast(({ who }) => who === "user") ?? null;
    return last && this.turns.some(({ question }) => question === last) ? null : last;
  }

  /**
   * The user's turn with an id; a turn that has no id yet takes it.
   *
   * @param {string} item
   */
  #user(item) {
    const known = this.turns.find((turn) => turn.item === item);
    if (known) return known;
    const unnamed = this.turns.find((turn) => turn.who === "user" && !turn.item);
    if (unnamed) unnamed.item = item;
    return unnamed;
  }

  /**
   * @param {any} event
   * @param {(turn: Turn) => void} change
   */
  #transcript(event, change) {
    const turn = this.#user(event.item_id);
    if (!turn) return;
    change(turn);
    if (this.turns.includes(turn)) this.onChange(turn);
  }

  /**
   * @param {Turn} turn
   * @param {string} text
   * @param {number} now
   */
  #transcribed(turn, text, now) {
    turn.text = text;
    turn.times.transcript = now;
    turn.state = "done";
    if (text) return;
    // A noise that was taken for speech leaves no trace; whoever pressed the button is told.
    if (turn.isPressed) this.#fail(turn, "No speech was recognized.");
    else this.remove(turn);
  }

  /**
   * @param {Turn} turn
   * @param {string} [message]
   */
  #fail(turn, message) {
    turn.state = "failed";
    turn.error = message ?? "The server returned an error.";
  }

  /**
   * @param {{response_id: string, item_id: string}} event
   * @param {(turn: Turn) => void} change
   */
  #answer(event, change) {
    const turn = this.turns.findLast(({ response }) => response === event.response_id);
    if (!turn || (turn.state !== "thinking" && turn.state !== "answering")) return;
    turn.item = event.item_id;
    turn.state = "answering";
    change(turn);
    this.onChange(turn);
  }

  /**
   * @param {Turn} turn
   * @param {string} delta
   * @param {number} now
   */
  #text(turn, delta, now) {
    turn.times.text ??= now;
    turn.marks.push([turn.seconds, delta]);
    turn.text += delta;
  }

  /** @param {any} response */
  #done(response) {
    const turn = this.turns.findLast((turn) => turn.response === response.id);
    if (!turn || turn.state === "interrupted") return;
    if (response.status === "failed") this.#fail(turn, response.status_details?.error?.message);
    else turn.state = response.status === "cancelled" ? "interrupted" : "done";
    if (turn.state !== "failed" && !turn.text.trim()) this.remove(turn);
    else this.onChange(turn);
  }

  /**
   * Take the server's cut of an interrupted answer.
   *
   * @param {any} item
   */
  #cut({ id, content }) {
    const turn = this.turns.find(({ item, state }) => item === id && state === "interrupted");
    const played = content?.[0]?.transcript;
    const whole = turn && turn.text + turn.unspoken;
    if (!turn || typeof played !== "string" || !whole.startsWith(played)) return;
    turn.text = played;
    turn.unspoken = whole.slice(played.length);
    this.onChange(turn);
  }

  #limit() {
    let bytes = this.turns.reduce((sum, { pcm }) => sum + size(pcm), 0);
    for (const turn of this.turns) {
      if (bytes <= KEPT_BYTES) return;
      bytes -= size(turn.pcm);
      turn.pcm = [];
      this.onChange(turn);
    }
  }
}

/** @param {ArrayBuffer[]} pcm */
const size = (pcm) => pcm.reduce((sum, { byteLength }) => sum + byteLength, 0);

/**
 * The part of a text that was played, as the server computes it for `conversation.item.truncate`.
 *
 * @param {[number, string][]} marks
 * @param {number} end in seconds
 * @param {number} total
 */
export function textBefore(marks, end, total) {
  return marks
    .map(([at, text], index) => {
      const until = marks[index + 1]?.[0] ?? total;
      if (at >= end) return "";
      if (until <= end) return text;
      const share = text.slice(0, Math.floor((text.length * (end - at)) / (until - at)));
      return share.slice(0, share.lastIndexOf(" ") + 1).trimEnd();
    })
    .join("");
}

/**
 * @param {ArrayBuffer[]} pcm
 * @param {number} bytes
 */
function cut(pcm, bytes) {
  const kept = [];
  for (const part of pcm) {
    if (bytes <= 0) break;
    kept.push(part.slice(0, bytes));
    bytes -= part.byteLength;
  }
  return kept;
}

/**
 * How long an answer took, in milliseconds after the end of the question.
 *
 * @param {Turn} turn
 * @returns {[string, number][]}
 */
export function stages({ question, times }) {
  const end = question?.times.end;
  if (!end) return [];
  /** @type {[string, number | undefined][]} */
  const known = [
    ["transcript", question.times.transcript],
    ["first text", times.text],
    ["first audio", times.audio],
  ];
  return known.filter(([, at]) => at).map(([name, at]) => [name, Math.max(0, at - end)]);
}
