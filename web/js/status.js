/** The view Status: live figures of the server, its engines and what they hold in memory. */

import { getJson } from "./api.js";
import { $, h } from "./dom.js";
import { ago, bytes } from "./format.js";
import { complain } from "./notices.js";
import { Waveform } from "./waveform.js";

const LOOK_MS = 2000;

export class StatusView {
  #root;
  #answers;
  #timer = 0;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#answers = new Waveform($(".answers", root));
  }

  async show() {
    clearInterval(this.#timer);
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
    await this.#look();
  }

  hide() {
    clearInterval(this.#timer);
  }

  async #look() {
    try {
      const began = performance.now();
      const health = await getJson("health");
      const took = performance.now() - began;
      const { models } = await getJson("api/models");
      this.#answers.push(Math.min(1, took / 500));
      this.#tell(health, models, took);
      complain($(".error", this.#root), null);
    } catch (error) {
      $(".lamp", this.#root).className = "lamp bad";
      complain($(".error", this.#root), error);
    }
  }

  /**
   * @param {any} health
   * @param {any[]} models
   * @param {number} took milliseconds
   */
  #tell(health, models, took) {
    const backends = Object.entries(health.backends ?? {});
    const ready = backends.filter(([, state]) => state.ready).length;
    const loaded = models.filter((model) => model.state === "loaded");
    const states = backends.map(([, state]) => state);
    const busy = sum(states, (state) => state.line?.under_way);
    const waiting = sum(states, (state) => state.line?.waiting);
    $(".lamp", this.#root).className = `lamp ${ready === backends.length ? "good" : "bad"}`;
    const tiles = {
      state: health.status === "ok" ? "Ready" : health.status,
      version: health.version,
      engines: `${ready} of ${backends.length}`,
      loaded: String(loaded.length),
      memory: bytes(memory(states)),
      requests: waiting ? `${busy} + ${waiting}` : String(busy),
      disk: bytes(sum(models, (model) => model.disk_bytes)),
      answer: `${Math.round(took)} ms`,
    };
    for (const [name, value] of Object.entries(tiles)) $(`[data-figure=${name}]`, this.#root).textContent = value;
    $("tbody", this.#root).replaceChildren(
      ...backends.map(([name, state]) =>
        this.#row(
          name,
          state,
          loaded.filter((model) => model.backend === name),
        ),
      ),
    );
  }

  /**
   * @param {string} name
   * @param {any} state
   * @param {any[]} loaded
   */
  #row(name, state, loaded) {
    const held = loaded.map((model) =>
      h("div", {}, model.id, h("span", { class: "soft" }, ` ${model.device ?? ""} · ${ago(model.last_use_s)}`)),
    );
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, h("span", { class: `lamp ${state.ready ? "good" : "bad"}` }), name),
      h(
        "td",
        { "data-label": "Runs" },
        state.where === "process" ? "own process" : state.where === "inproc" ? "this process" : state.where,
      ),
      h("td", { "data-label": "State" }, state.ready ? "ready" : "does not respond"),
      h("td", { "data-label": "Models" }, ...(held.length ? held : ["none loaded"])),
      h("td", { "data-label": "Memory" }, bytes(state.runner?.memory_bytes)),
      h("td", { "data-label": "In progress" }, work(state.line)),
    );
  }
}

/**
 * @template T
 * @param {T[]} items
 * @param {(item: T) => number | null | undefined} figure
 */
const sum = (items, figure) => items.reduce((whole, item) => whole + (figure(item) ?? 0), 0);

/**
 * The memory of all runners; those that share a process share its memory.
 *
 * @param {any[]} states
 */
function memory(states) {
  const processes = new Map(
    states.filter(({ runner }) => runner).map(({ where, runner }) => [`${where === "process" ? "inproc" : where} ${runner.pid}`, runner]),
  );
  return processes.size ? sum([...processes.values()], (runner) => runner.memory_bytes) : null;
}

/** @param {any} line where requests to an engine wait */
function work(line) {
  if (!line) return "–";
  const told = [String(line.under_way), line.waiting && `${line.waiting} waiting`, line.refused && `${line.refused} rejected so far`];
  return told.filter(Boolean).join(", ");
}
