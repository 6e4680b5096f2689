/** The mixer: several voices of one model, each with its weight, are one new voice. */

import { shares, write } from "./blend.js";
import { $, h } from "./dom.js";

/** As many as are still told apart. */
const MOST = 6;

export class Mixer {
  #root;
  /** @type {(import("./blend.js").Part & {title: string, model: string})[]} */
  #parts = [];
  /** @type {() => void} */
  onChange = () => {};

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    $(".clear", root).addEventListener("click", () => this.clear());
  }

  /** The voice as the server writes it; empty while nothing is mixed. */
  get voice() {
    return write(this.#parts);
  }

  /** The mixture as people read it. */
  get title() {
    return this.#parts
      .filter(({ weight }) => weight > 0)
      .map(({ title }) => title)
      .join(" + ");
  }

  get model() {
    return this.#parts[0]?.model ?? "";
  }

  /** @param {import("./blend.js").Part & {title: string, model: string}} part */
  add(part) {
    if (this.#parts.length >= MOST || this.#parts.some(({ id }) => id === part.id)) return;
    this.#parts.push(part);
    this.#build();
  }

  clear() {
    this.#parts = [];
    this.#build();
  }

  #build() {
    this.#root.hidden = this.#parts.length === 0;
    $(".parts", this.#root).replaceChildren(...this.#parts.map((part) => this.#row(part)));
    this.#told();
  }

  /** @param {(typeof this.#parts)[number]} part */
  #row(part) {
    const slide = ({ target }) => {
      part.weight = Number(target.value);
      this.#told();
    };
    const remove = () => {
      this.#parts = this.#parts.filter((other) => other !== part);
      this.#build();
    };
    return h(
      "li",
      {},
      h("label", { for: `mix-${part.id}` }, part.title),
      h("input", { id: `mix-${part.id}`, type: "range", min: 0, max: 3, step: 0.1, value: part.weight, oninput: slide }),
      h("output", { for: `mix-${part.id}` }),
      h("button", { class: "remove icon", type: "button", "aria-label": `Remove ${part.title}`, onclick: remove }),
    );
  }

  #told() {
    const share = shares(this.#parts);
    this.#root.querySelectorAll("output").forEach((output, index) => (output.textContent = `${share[index]} %`));
    $("code", this.#root).textContent = this.voice || "–";
    this.onChange();
  }
}
