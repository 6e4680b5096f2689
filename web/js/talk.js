/** The view Talk: a spoken conversation with a language model, with the button held or hands free. */

import { getJson } from "./api.js";
import { $, fill, h } from "./dom.js";
import { LanguageModels } from "./language-models.js";
import { language } from "./format.js";
import { announce, complain } from "./notices.js";
import { TalkSession } from "./talk-session.js";
import { TurnList } from "./turn-list.js";
import { own, title } from "./voices.js";

const STORED = "open-speech.talk";
const INSTRUCTIONS = "You are a friendly voice assistant. Answer in one or two short sentences, in plain text without lists.";
const SAID = {
  off: { hold: "Hold the button and speak.", free: "Start, then speak whenever you like." },
  connecting: { hold: "Connecting …", free: "Connecting …" },
  ready: { hold: "Hold the button and speak.", free: "Speak whenever you like." },
  speaking: { hold: "Release the button to get an answer.", free: "You are speaking." },
  thinking: { hold: "The assistant is thinking …", free: "The assistant is thinking …" },
  answering: { hold: "Answering … Hold the button to interrupt.", free: "Answering … Speak to interrupt." },
};

export class TalkView {
  #root;
  #form;
  #button;
  #talk = new TalkSession();
  #turns;
  #models;
  #held = false;
  /** Whether the server decides by the meaning of what is said when a turn ends. */
  #byMeaning = false;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#form = $("form", root).elements;
    this.#button = $(".talk", root);
    this.#turns = new TurnList($(".dialogue", root));
    this.#models = new LanguageModels($(".pull", root));
    this.#models.onChange = () => this.#offer();
    this.#connect();
    this.#press();
    this.#recall();
    $("form", root).addEventListener("submit", (event) => event.preventDefault());
    $("form", root).addEventListener("change", ({ target }) => this.#changed(target.name));
    for (const way of $(".ways", root).querySelectorAll("input")) way.addEventListener("change", () => this.#changed("way"));
    $(".fresh", root).addEventListener("click", () => this.#fresh());
    // A tap anywhere wakes audio that the browser has put to sleep, as on a phone that was locked.
    root.addEventListener("pointerup", () => this.#talk.state !== "off" && this.#talk.wake());
    this.#show();
  }

  /** Called each time the view is shown. */
  async show() {
    const [{ data }, health] = await Promise.all([getJson("v1/audio/voices"), getJson("health"), this.#models.load()]);
    this.#byMeaning = (health.turn_detector ?? "timer") !== "timer";
    this.#voices(own(data));
    this.#offer();
  }

  hide() {
    this.#talk.stop();
    this.#turns.hush();
    this.#models.hide();
  }

  #connect() {
    const talk = this.#talk;
    talk.onState = () => this.#show();
    talk.onError = (error) => complain($(".error", this.#root), error);
    talk.onLevel = (level) => ($(".level", this.#root).value = level);
    talk.onTooShort = () => announce("Hold the button while you speak.");
    talk.conversation.onChange = (turn) => this.#turns.update(turn);
    talk.conversation.onRemove = (turn) => this.#turns.remove(turn);
  }

  get #handsFree() {
    return $(".ways [value=free]", this.#root).checked;
  }

  get #options() {
    const { model, voice, instructions } = this.#form;
    return { model: model.value, voice: voice.value, instructions: instructions.value, handsFree: this.#handsFree, byMeaning: this.#byMeaning };
  }

  /** Pointer, keyboard, and the single click of assistive technology. */
  #press() {
    const button = this.#button;
    const isKey = ({ key }) => key === " " || key === "Enter";
    let pointed = false;
    button.addEventListener("pointerdown", (event) => {
      pointed = true;
      if (this.#handsFree || event.button) return;
      button.setPointerCapture(event.pointerId);
      void this.#hold();
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) button.addEventListener(name, () => this.#release());
    button.addEventListener("keydown", (event) => {
      if (!isKey(event) || this.#handsFree) return;
      event.preventDefault();
      if (!event.repeat) void this.#hold();
    });
    button.addEventListener("keyup", (event) => {
      if (!isKey(event) || this.#handsFree) return;
      event.preventDefault();
      this.#release();
    });
    button.addEventListener("click", () => {
      if (this.#handsFree) void this.#toggle();
      else if (!pointed) this.#held ? this.#release() : void this.#hold();
      pointed = false;
    });
    button.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  async #hold() {
    if (this.#held) return;
    this.#held = true;
    this.#begin();
    const starting = this.#talk.state === "off" ? this.#talk.start(this.#options) : null;
    void this.#talk.press();
    await starting;
    // The question for the permission took the press: there is nothing to send yet.
    if (!this.#held) this.#talk.release();
  }

  #release() {
    if (!this.#held) return;
    this.#held = false;
    if (this.#talk.state !== "connecting") this.#talk.release();
  }

  async #toggle() {
    if (this.#talk.state !== "off") return this.#talk.stop();
    this.#begin();
    await this.#talk.start(this.#options);
  }

  /** What every beginning does within the tap. */
  #begin() {
    complain($(".error", this.#root), null);
    this.#turns.hush();
    this.#talk.wake();
  }

  #fresh() {
    this.#talk.stop();
    this.#talk.conversation.turns = [];
    this.#turns.clear();
    complain($(".error", this.#root), null);
    this.#show();
  }

  /** @param {string} name of the control */
  #changed(name) {
    const { model, voice, instructions } = this.#form;
    const kept = { model: model.value, voice: voice.value, instructions: instructions.value, way: this.#handsFree ? "free" : "hold" };
    localStorage.setItem(STORED, JSON.stringify(kept));
    if (name === "instructions") this.#talk.instruct(instructions.value);
    // A session keeps its model and its voice: the next one has the others, and the same history.
    else this.#talk.stop();
    this.#show();
  }

  #recall() {
    let kept = {};
    try {
      kept = JSON.parse(localStorage.getItem(STORED) ?? "{}");
    } catch {
      // written by something else: start afresh
    }
    this.#form.instructions.value = kept.instructions ?? INSTRUCTIONS;
    $(`.ways [value=${kept.way === "free" ? "free" : "hold"}]`, this.#root).checked = true;
    for (const name of ["model", "voice"]) if (kept[name]) fill(this.#form[name], [{ value: kept[name], label: kept[name] }]);
  }

  #offer() {
    const { choices, trouble } = this.#models;
    fill(this.#form.model, choices.length ? choices : [{ value: "", label: "none" }]);
    this.#form.model.disabled = choices.length < 2;
    $(".missing", this.#root).textContent = trouble;
    $(".missing", this.#root).hidden = !trouble;
    this.#root.classList.toggle("without-model", Boolean(trouble));
    this.#button.disabled = Boolean(trouble);
  }

  /** @param {import("./voices.js").Voice[]} voices */
  #voices(voices) {
    const select = this.#form.voice;
    const chosen = select.value;
    const groups = new Map();
    for (const voice of voices) {
      const name = voice.language ? language(voice.language) : "Other";
      groups.set(name, [...(groups.get(name) ?? []), voice]);
    }
    const option = (voice) => h("option", { value: voice.id }, `${title(voice)} · ${voice.model}`);
    const sorted = [...groups].sort(([one], [other]) => one.localeCompare(other));
    select.replaceChildren(
      h("option", { value: "" }, "The server's default"),
      ...sorted.map(([label, of]) => h("optgroup", { label }, ...of.map(option))),
    );
    if (voices.some(({ id }) => id === chosen)) select.value = chosen;
  }

  #show() {
    const { state } = this.#talk;
    const way = this.#handsFree ? "free" : "hold";
    const on = state !== "off";
    $(".now", this.#root).textContent = SAID[state][way];
    $(".bar", this.#root).dataset.state = state;
    $(".bar .lamp", this.#root).className = `lamp ${state === "speaking" ? "on" : state === "answering" ? "good" : ""}`;
    this.#button.textContent = way === "hold" ? "Hold to talk" : on ? "End" : "Start";
    this.#button.classList.toggle("active", state === "speaking" || (way === "free" && on));
    if (way === "free") this.#button.setAttribute("aria-pressed", String(on));
    else this.#button.removeAttribute("aria-pressed");
    $(".fresh", this.#root).disabled = !this.#talk.conversation.turns.length;
  }
}
