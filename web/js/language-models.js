/** The language models of the server: which one answers, and those that can be pulled. */

import { ask, events, getJson } from "./api.js";
import { $, h } from "./dom.js";
import { bytes } from "./format.js";
import { announce, complain, isAbort } from "./notices.js";

const HAS_FILES = ["downloaded", "loading", "loaded"];

/** @typedef {{id: string, description: string, size_bytes: number | null, state: string, progress: any, error: any}} Model */

export class LanguageModels {
  #root;
  /** @type {Model[]} */
  #models = [];
  /** @type {{name: string, where: "local" | "remote", fault: string} | null} */
  #answering = null;
  /** @type {Map<string, AbortController>} */
  #followed = new Map();
  /** @type {() => void} there is a model, or another one */
  onChange = () => {};

  /** @param {HTMLDetailsElement} root */
  constructor(root) {
    this.#root = root;
  }

  /** The choices of a conversation: the server's own model first. */
  get choices() {
    const own = this.#answering?.fault ? null : this.#answering;
    const downloaded = this.#models.filter(({ id, state }) => HAS_FILES.includes(state) && id !== own?.name);
    const first = own && { value: "", label: own.where === "remote" ? `${own.name} (on another server)` : own.name };
    return [...(first ? [first] : []), ...downloaded.map(({ id }) => ({ value: id, label: id }))];
  }

  /** What keeps the server from answering; empty if nothing does. */
  get trouble() {
    if (this.#answering?.fault) return this.#answering.fault;
    if (this.choices.length) return "";
    return this.#models.length
      ? "This server has no language model yet. Pull one: the smallest that was trained on conversations answers fastest."
      : "This server has no language model. Set LLM_BASE_URL to the address of a server with OpenAI's chat completions.";
  }

  async load() {
    const { models, language_model } = await getJson("api/models");
    this.#models = models.filter(({ task }) => task === "text-generation");
    this.#answering = language_model;
    this.#list();
    for (const { id, state } of this.#models) if (state === "downloading") void this.#follow(id);
  }

  hide() {
    for (const following of this.#followed.values()) following.abort();
  }

  #list() {
    const missing = this.#models.filter(({ state }) => !HAS_FILES.includes(state));
    this.#root.hidden = !missing.length;
    if (this.trouble) this.#root.open = true;
    $("ul", this.#root).replaceChildren(...missing.map((model) => this.#row(model)));
  }

  /** @param {Model} model */
  #row(model) {
    const busy = model.state === "downloading";
    const act = busy ? () => this.#cancel(model.id) : () => this.#pull(model.id);
    const label = busy ? "Cancel" : "Pull";
    const size = model.size_bytes ? bytes(model.size_bytes) : "Size unknown";
    return h(
      "li",
      { "data-id": model.id },
      h("div", {}, h("b", {}, model.id), h("p", { class: "soft" }, `${model.description} ${size}.`)),
      h("button", { type: "button", class: "small", "aria-label": `${label} ${model.id}`, onclick: () => void act() }, label),
      busy && bar(model),
      model.error && h("p", { class: "error", role: "alert" }, model.error.message),
    );
  }

  /** @param {string} id */
  async #pull(id) {
    await this.#try(async () => {
      await ask(`${path(id)}/download?wait=false`, { method: "POST" });
      await this.#follow(id);
    });
  }

  /** @param {string} id */
  async #cancel(id) {
    await this.#try(() => ask(`${path(id)}/download`, { method: "DELETE" }));
  }

  /** @param {() => Promise<unknown>} work */
  async #try(work) {
    complain($(".error", this.#root), null);
    try {
      await work();
    } catch (error) {
      if (!isAbort(error)) complain($(".error", this.#root), error);
    }
  }

  /**
   * Show the progress of a download until it ends.
   *
   * @param {string} id
   */
  async #follow(id) {
    if (this.#followed.has(id)) return;
    const following = new AbortController();
    this.#followed.set(id, following);
    try {
      const response = await ask(`${path(id)}/status?stream=true&until=settled`, {
        accept: "text/event-stream",
        signal: following.signal,
      });
      for await (const state of events(response)) {
        this.#models = this.#models.map((model) => (model.id === id ? state : model));
        const row = $("ul", this.#root).querySelector(`[data-id="${CSS.escape(id)}"]`);
        if (row && state.state === "downloading" && row.querySelector("progress")) row.querySelector(".progress").replaceWith(bar(state));
        else this.#list();
      }
      if (HAS_FILES.includes(this.#models.find((model) => model.id === id)?.state)) announce(`${id} is downloaded.`);
      await this.load();
      this.onChange();
    } catch (error) {
      if (isAbort(error)) return;
      complain($(".error", this.#root), error);
      this.#models = this.#models.map((model) => (model.id === id ? { ...model, state: "available", progress: null } : model));
      this.#list();
    } finally {
      this.#followed.delete(id);
    }
  }
}

/** @param {string} id */
const path = (id) => `api/models/${id.split("/").map(encodeURIComponent).join("/")}`;

/** @param {Model} model */
function bar({ id, progress }) {
  const text = progress?.total_bytes ? `${bytes(progress.done_bytes)} of ${bytes(progress.total_bytes)}` : (progress?.state ?? "");
  const value = progress?.percent ?? null;
  return h(
    "label",
    { class: "progress" },
    h("progress", { max: 100, "aria-label": `Progress of ${id}`, ...(value === null ? {} : { value }) }),
    h("span", { class: "soft" }, text),
  );
}
