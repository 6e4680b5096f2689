/** The list of voices with its filters: hear one, choose one, mix several. */

import { ask, getJson } from "./api.js";
import { $, fill, h } from "./dom.js";
import { count, language } from "./format.js";
import { complain } from "./notices.js";
import { kinds, matching, own, title } from "./voices.js";

/** @typedef {import("./voices.js").Voice} Voice */

export class VoiceBrowser {
  #root;
  #filters;
  #sample = new Audio();
  /** @type {Voice[]} */
  #voices = [];
  #chosen = "";
  /** @type {(voice: Voice) => void} */
  onChoose = () => {};
  /** @type {(voice: Voice) => void} */
  onMix = () => {};

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#filters = $(".filters", root).elements;
    $(".filters", root).addEventListener("input", () => this.#list());
    $(".filters", root).addEventListener("submit", (event) => event.preventDefault());
    this.#sample.addEventListener("ended", () => this.#hush());
  }

  async load() {
    this.#voices = own((await getJson("v1/audio/voices")).data);
    const any = (label) => ({ value: "", label });
    const codes = [...new Set(kinds(this.#voices, "language").flatMap((code) => [code.split("-")[0], code]))].sort();
    fill(this.#filters.language, [any("All languages"), ...codes.map((value) => ({ value, label: language(value) }))]);
    fill(this.#filters.gender, [any("All genders"), ...kinds(this.#voices, "gender").map((value) => ({ value, label: value }))]);
    fill(this.#filters.engine, [any("All engines"), ...kinds(this.#voices, "engine").map((value) => ({ value, label: value }))]);
    this.#list();
    return this.#voices;
  }

  /**
   * Show which voice speaks.
   *
   * @param {string} id
   */
  choose(id) {
    this.#chosen = id;
    for (const row of this.#root.querySelectorAll(".voice"))
      row.querySelector(".pick").setAttribute("aria-pressed", String(row.dataset.id === id));
  }

  #list() {
    const wanted = Object.fromEntries(["search", "language", "gender", "engine"].map((name) => [name, this.#filters[name].value]));
    const found = matching(this.#voices, wanted);
    $(".found", this.#root).textContent = count(found.length, "voice");
    $(".list", this.#root).replaceChildren(...found.map((voice) => this.#row(voice)));
  }

  /** @param {Voice} voice */
  #row(voice) {
    const name = title(voice);
    const about = [voice.language && language(voice.language), voice.gender, voice.engine].filter(Boolean).join(" · ");
    const pick = h(
      "button",
      { class: "pick", type: "button", "aria-pressed": voice.id === this.#chosen, onclick: () => this.onChoose(voice) },
      h("b", {}, name),
      h("span", {}, voice.description ?? about),
    );
    const hear = h("button", {
      class: "hear icon",
      type: "button",
      "aria-label": `Play ${name}`,
      onclick: () => void this.#hear(voice, hear),
    });
    const mix = voice.engine === "kokoro" && voice.kind === "builtin";
    const add = mix && h("button", { class: "add icon", type: "button", "aria-label": `Add ${name} to the blend`, onclick: () => this.onMix(voice) });
    return h("li", { class: "voice", "data-id": voice.id }, hear, pick, add);
  }

  /**
   * @param {Voice} voice
   * @param {HTMLElement} button
   */
  async #hear(voice, button) {
    const playing = button.classList.contains("playing");
    this.#hush();
    if (playing) return;
    button.classList.add("playing");
    complain($(".error", this.#root), null);
    try {
      const blob = await (await ask(voice.sample)).blob();
      if (!button.classList.contains("playing")) return;
      URL.revokeObjectURL(this.#sample.src);
      this.#sample.src = URL.createObjectURL(blob);
      await this.#sample.play();
    } catch (error) {
      this.#hush();
      complain($(".error", this.#root), error);
    }
  }

  #hush() {
    this.#sample.pause();
    for (const button of this.#root.querySelectorAll(".hear.playing")) button.classList.remove("playing");
  }
}
