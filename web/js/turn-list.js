/** The history of a conversation: who said what, how long it took, and the audio of each turn. */

import { $, h } from "./dom.js";
import { stages } from "./conversation.js";
import { seconds } from "./format.js";
import { RATE } from "./realtime.js";
import { wavHeader } from "./sound.js";

const NAMES = { user: "You", assistant: "Assistant" };
const STATES = { speaking: "speaking …", transcribing: "transcribing …", thinking: "thinking …", answering: "speaking …", interrupted: "interrupted" };
const SETTLED = ["done", "interrupted", "failed"];

/** @typedef {import("./conversation.js").Turn} Turn */

export class TurnList {
  #root;
  #list;
  #audio = new Audio();
  /** @type {Map<number, HTMLElement>} */
  #rows = new Map();
  #playing = 0;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#list = $(".turns", root);
    for (const name of ["ended", "pause"]) this.#audio.addEventListener(name, () => this.#show(0));
  }

  /** @param {Turn} turn */
  update(turn) {
    const atEnd = this.#root.scrollHeight - this.#root.scrollTop - this.#root.clientHeight < 60;
    let row = this.#rows.get(turn.key);
    if (!row) {
      const play = h("button", { class: "play icon", type: "button", hidden: true, onclick: () => this.#toggle(turn) });
      row = h("li", {}, h("p", { class: "who" }), h("p", { class: "said" }), h("p", { class: "stages soft" }), play);
      this.#rows.set(turn.key, row);
      this.#list.append(row);
    }
    row.className = `turn ${turn.who} ${turn.state}`;
    const state = STATES[turn.state];
    // A screen reader reads a turn when it is complete, and not each word of it.
    row.setAttribute("aria-busy", String(!SETTLED.includes(turn.state)));
    $(".who", row).replaceChildren(h("b", {}, NAMES[turn.who]), state ? h("span", { class: "soft" }, ` ${state}`) : "");
    $(".said", row).replaceChildren(turn.text || (turn.state === "failed" ? "" : "…"), ...unspoken(turn), ...failure(turn));
    $(".stages", row).textContent = stages(turn)
      .map(([name, ms]) => `${name} ${seconds(ms)}`)
      .join(" · ");
    this.#button(turn, row);
    $(".blank", this.#root).hidden = true;
    if (atEnd) this.#root.scrollTop = this.#root.scrollHeight;
  }

  /** @param {Turn} turn */
  remove(turn) {
    this.#rows.get(turn.key)?.remove();
    this.#rows.delete(turn.key);
    $(".blank", this.#root).hidden = this.#rows.size > 0;
  }

  clear() {
    this.#audio.pause();
    this.#rows.clear();
    this.#list.replaceChildren();
    $(".blank", this.#root).hidden = false;
  }

  /** Stop the replay. */
  hush() {
    this.#audio.pause();
  }

  /**
   * @param {Turn} turn
   * @param {HTMLElement} row
   */
  #button(turn, row) {
    const button = $("button", row);
    const isPlaying = turn.key === this.#playing;
    button.hidden = !turn.pcm.length || !SETTLED.includes(turn.state);
    button.classList.toggle("playing", isPlaying);
    button.setAttribute("aria-label", isPlaying ? "Pause" : turn.who === "user" ? "Play what you said" : "Play the answer");
  }

  /** @param {Turn} turn */
  #toggle(turn) {
    if (this.#playing === turn.key) return this.#audio.pause();
    this.#audio.pause();
    URL.revokeObjectURL(this.#audio.src);
    const audio = new Blob(turn.pcm);
    this.#audio.src = URL.createObjectURL(new Blob([wavHeader(audio.size, RATE), audio], { type: "audio/wav" }));
    this.#show(turn.key);
    void this.#audio.play().catch(() => this.#show(0));
  }

  /** @param {number} key of the turn that is played; 0: none */
  #show(key) {
    this.#playing = key;
    for (const [of, row] of this.#rows) {
      const button = $("button", row);
      button.classList.toggle("playing", of === key);
      const label = row.classList.contains("user") ? "Play what you said" : "Play the answer";
      button.setAttribute("aria-label", of === key ? "Pause" : label);
    }
  }
}

/** @param {Turn} turn */
const unspoken = ({ unspoken }) => (unspoken ? [h("span", { class: "unspoken", title: "This part was not played." }, unspoken)] : []);

/** @param {Turn} turn */
const failure = ({ error }) => (error ? [h("span", { class: "error" }, error)] : []);
