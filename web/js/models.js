/** The view Models: what can be had, what is here, what is in memory; pull, load, unload, delete. */

import { ask, events, getJson } from "./api.js";
import { $, fill, h } from "./dom.js";
import { ago, bytes, count, language } from "./format.js";
import { announce, complain, isAbort } from "./notices.js";

/** Milliseconds between two looks at the list while it is shown. */
const LOOK_MS = 4000;
const STATES = { available: "not downloaded", downloading: "downloading", downloaded: "on disk", loading: "loading", loaded: "in memory" };
const TASKS = { "speech-to-text": "Speech to text", "text-to-speech": "Text to speech", "text-generation": "Language model", diarization: "Diarization" };
const NEAREST_FIRST = ["loaded", "loading", "downloading", "downloaded", "available"];
const MOVING = ["downloading", "loading"];

export class ModelsView {
  #root;
  #filters;
  /** @type {Map<string, any>} */
  #models = new Map();
  /** @type {Map<string, HTMLElement>} */
  #rows = new Map();
  /** @type {Map<string, AbortController>} */
  #followed = new Map();
  #timer = 0;
  /** @type {string[] | null} ids */
  #order = null;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#filters = $(".filters", root).elements;
    $(".filters", root).addEventListener("input", () => this.#order && this.#list());
    $(".filters", root).addEventListener("submit", (event) => event.preventDefault());
  }

  async show() {
    clearInterval(this.#timer);
    this.#order = null;
    this.#timer = setInterval(() => void this.#look().catch((error) => this.#complain(error)), LOOK_MS);
    await this.#look();
  }

  hide() {
    clearInterval(this.#timer);
    for (const following of this.#followed.values()) following.abort();
  }

  async #look() {
    const { models } = await getJson("api/models");
    this.#complain(null);
    this.#models = new Map(models.map((model) => [model.id, model]));
    // Ordered when the view is opened, and not again: no row jumps away under the pointer.
    this.#order ??= models.toSorted((one, other) => rank(one) - rank(other)).map((model) => model.id);
    const backends = [...new Set(models.map((model) => model.backend))].sort();
    fill(this.#filters.backend, [{ value: "", label: "All engines" }, ...backends.map((value) => ({ value, label: value }))]);
    this.#list();
    for (const model of models) if (MOVING.includes(model.state)) void this.#follow(model.id);
  }

  #list() {
    const { search, task, state, backend } = this.#filters;
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const here = {
      "": () => true,
      here: (model) => model.disk_bytes > 0 || model.state === "loaded",
      loaded: (model) => model.state === "loaded",
    };
    const ordered = new Set([...this.#order, ...this.#models.keys()]);
    const shown = [...ordered]
      .map((id) => this.#models.get(id))
      .filter(
        (model) =>
          model &&
          words.every((word) => `${model.id} ${model.description} ${model.backend}`.toLowerCase().includes(word)) &&
          (!task.value || model.task === task.value) &&
          (!backend.value || model.backend === backend.value) &&
          here[state.value](model),
      );
    $(".found", this.#root).textContent = count(shown.length, "model");
    const rows = shown.map((model) => this.#row(model));
    // Rows that stay where they are keep the focus that is on them.
    const list = $(".list", this.#root);
    if (rows.length !== list.children.length || rows.some((row, index) => row !== list.children[index])) list.replaceChildren(...rows);
  }

  /** @param {any} model */
  #row(model) {
    let row = this.#rows.get(model.id);
    if (!row) {
      row = h(
        "li",
        { class: "model", "data-id": model.id },
        h("div", { class: "about" }),
        h("div", { class: "figures" }),
        h("div", { class: "acts" }),
        h("p", { class: "error", role: "alert", hidden: true }),
      );
      this.#rows.set(model.id, row);
    }
    this.#update(row, model);
    return row;
  }

  /**
   * @param {HTMLElement} row
   * @param {any} model
   */
  #update(row, model) {
    const version = JSON.stringify({ ...model, last_use_s: ago(model.last_use_s) });
    if (row.dataset.version === version) return;
    row.dataset.version = version;
    row.dataset.state = model.state;
    const focused = row.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    const badge = h("span", { class: `state ${model.state}` }, STATES[model.state] ?? model.state);
    const about = [TASKS[model.task] ?? model.task, model.backend, languages(model.languages), model.licence].filter(Boolean).join(" · ");
    $(".about", row).replaceChildren(
      h("h3", {}, model.id, model.default && h("span", { class: "default" }, "default")),
      h("p", {}, model.description),
      h("p", { class: "soft" }, about),
    );
    $(".figures", row).replaceChildren(badge, ...figures(model));
    $(".acts", row).replaceChildren(...this.#acts(model));
    if (focused) (row.querySelector(`[data-act=${focused}]`) ?? row.querySelector(".acts button"))?.focus();
    complain($(".error", row), model.error ? new Error(model.error.message) : null);
  }

  /** @param {any} model */
  #acts(model) {
    const act = (name, label, kind = "") =>
      h(
        "button",
        {
          type: "button",
          class: `small ${kind}`,
          "data-act": name,
          "aria-label": `${label} ${model.id}`,
          onclick: () => void this.#act(model.id, name),
        },
        label,
      );
    switch (model.state) {
      case "downloading":
        return [bar(model), act("cancel", "Cancel")];
      case "loading":
        return [bar(model)];
      case "available":
        return [act("download", "Pull"), act("load", "Load", "quiet")];
      case "loaded":
        return [act("unload", "Unload")];
      default:
        return [act("load", "Load"), model.disk_bytes > 0 && act("delete", "Delete", "quiet")].filter(Boolean);
    }
  }

  /**
   * @param {string} id
   * @param {string} name of the act
   */
  async #act(id, name) {
    const path = `api/models/${id.split("/").map(encodeURIComponent).join("/")}`;
    const requests = {
      download: [`${path}/download?wait=false`, "POST"],
      load: [`${path}/load?wait=false`, "POST"],
      unload: [`${path}/unload`, "POST"],
      cancel: [`${path}/download`, "DELETE"],
      delete: [`${path}/artifacts`, "DELETE"],
    };
    if (name === "delete" && !(await confirmed(`Delete the files of ${id}? They can be pulled again.`))) return;
    const [address, method] = requests[name];
    try {
      await ask(address, { method });
      await this.#look();
      if (name === "download" || name === "load") await this.#follow(id);
    } catch (error) {
      if (!isAbort(error)) complain($(".error", this.#rows.get(id)), error);
    }
  }

  /**
   * Watch a model until it has come to rest.
   *
   * @param {string} id
   */
  async #follow(id) {
    if (this.#followed.has(id)) return;
    const following = new AbortController();
    this.#followed.set(id, following);
    const before = this.#models.get(id)?.state;
    try {
      const path = `api/models/${id.split("/").map(encodeURIComponent).join("/")}/status?stream=true&until=settled`;
      for await (const model of events(await ask(path, { accept: "text/event-stream", signal: following.signal }))) {
        this.#models.set(id, model);
        this.#list();
      }
      const { state } = this.#models.get(id);
      if (state !== before) announce(`${id} is ${STATES[state] ?? state}.`);
    } catch (error) {
      if (!isAbort(error)) this.#complain(error);
    } finally {
      this.#followed.delete(id);
    }
  }

  /** @param {unknown} error */
  #complain(error) {
    complain($(".error", this.#root), error);
  }
}

/** @param {any} model */
const rank = ({ state }) => NEAREST_FIRST.indexOf(state);

/** @param {string[]} codes */
function languages(codes = []) {
  return codes.length > 3 ? count(codes.length, "language") : codes.map(language).join(", ");
}

/** @param {any} model */
function figures(model) {
  const told = [];
  if (model.state === "loaded") {
    told.push(
      `${bytes(model.memory_bytes)} in ${model.device ?? "memory"}`,
      model.in_flight ? count(model.in_flight, "request") : `used ${ago(model.last_use_s)}`,
    );
  } else {
    told.push(model.disk_bytes || model.size_bytes ? bytes(model.disk_bytes || model.size_bytes) : "size unknown");
  }
  return told.map((text) => h("span", { class: "soft" }, text));
}

/** @param {any} model */
function bar({ id, progress }) {
  const share = progress?.percent ?? null;
  const text = progress?.total_bytes ? `${bytes(progress.done_bytes)} of ${bytes(progress.total_bytes)}` : (progress?.state ?? "");
  return h(
    "label",
    { class: "progress" },
    h("progress", { max: 100, "aria-label": `Progress of ${id}`, ...(share === null ? {} : { value: share }) }),
    h("span", { class: "soft" }, text),
  );
}

/**
 * Ask before something that cannot be taken back.
 *
 * @param {string} question
 * @returns {Promise<boolean>}
 */
function confirmed(question) {
  const dialog = $("#confirm");
  $("p", dialog).textContent = question;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
