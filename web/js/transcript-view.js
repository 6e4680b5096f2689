/** A transcript on the page: lines with times that lead into the recording, and the ways to take it along. */

import { MEDIA, WRITERS } from "./captions.js";
import { $, download, h } from "./dom.js";
import { clock } from "./format.js";
import { announce } from "./notices.js";

/** @typedef {import("./captions.js").Segment} Segment */

export class TranscriptView {
  #root;
  #lines;
  #partial;
  /** @type {Segment[]} */
  #segments = [];
  /** @type {HTMLElement[]} */
  #nodes = [];
  #about = {};
  #name = "transcript";
  /** @type {(segment: Segment) => void} */
  onPick = () => {};

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#lines = $(".lines", root);
    this.#partial = $(".partial", root);
    $(".copy", root).addEventListener("click", () => void this.#copy());
    for (const button of root.querySelectorAll("[data-save]")) button.addEventListener("click", () => this.#save(button.dataset.save));
    this.clear();
  }

  get transcript() {
    const text = this.#segments
      .map((segment) => segment.text.trim())
      .filter(Boolean)
      .join(" ");
    return { text, ...this.#about, segments: this.#segments };
  }

  /** @param {string} [name] of the files that are saved */
  clear(name = "transcript") {
    this.#name = name;
    this.#segments = [];
    this.#nodes = [];
    this.#about = {};
    this.#lines.replaceChildren();
    this.partial("");
    this.#ready();
  }

  /**
   * Add a line.
   *
   * @param {Segment} segment
   */
  add(segment) {
    if (!segment.text.trim()) return;
    const near = this.#lines.parentElement;
    const follows = near.scrollHeight - near.scrollTop - near.clientHeight < 80;
    this.#segments.push(segment);
    const time = h(
      "button",
      { class: "at", type: "button", "aria-label": `Play from ${clock(segment.start)}`, onclick: () => this.onPick(segment) },
      clock(segment.start),
    );
    const line = h("li", {}, time, h("p", {}, segment.speaker && h("b", { class: "speaker" }, segment.speaker), ...this.#words(segment)));
    this.#nodes.push(line);
    this.#lines.append(line);
    this.#ready();
    if (follows) near.scrollTop = near.scrollHeight;
  }

  /** @param {string} text what is being said, as far as it is known */
  partial(text) {
    this.#partial.textContent = text;
    this.#ready();
  }

  /** @param {{language?: string, duration?: number}} about */
  done(about) {
    this.#about = about;
    this.#ready();
  }

  /**
   * Show which line, and which word, is heard now.
   *
   * @param {number} seconds
   */
  at(seconds) {
    const now = this.#segments.findIndex(({ start, end }) => seconds >= start && seconds < end);
    this.#nodes.forEach((node, index) => {
      node.classList.toggle("now", index === now);
      for (const word of node.querySelectorAll("[data-start]")) {
        word.classList.toggle("now", seconds >= Number(word.dataset.start) && seconds < Number(word.dataset.end));
      }
    });
  }

  /** @param {Segment} segment */
  #words({ text, words }) {
    if (!words?.length) return [text.trim()];
    return words.flatMap(({ word, start, end }) => {
      const pick = () => this.onPick({ start, end, text: word });
      return [h("span", { class: "word", title: clock(start), "data-start": start, "data-end": end, onclick: pick }, word), " "];
    });
  }

  #ready() {
    const empty = this.#segments.length === 0;
    $(".tools", this.#root).hidden = empty;
    $(".blank", this.#root).hidden = !empty || Boolean(this.#partial.textContent);
  }

  async #copy() {
    await navigator.clipboard.writeText(WRITERS.txt(this.transcript).trim());
    announce("Copied.");
  }

  /** @param {string} form */
  #save(form) {
    download(new Blob([WRITERS[form](this.transcript)], { type: MEDIA[form] }), `${this.#name}.${form}`);
  }
}
