/** The view Transcribe: a file, or what the microphone hears, becomes text. */

import { ask, events, getJson } from "./api.js";
import { $, fill, h } from "./dom.js";
import { bytes, language } from "./format.js";
import { LiveTranscription } from "./live.js";
import { RATE } from "./microphone.js";
import { announce, complain, isAbort } from "./notices.js";
import { Player } from "./player.js";
import { level, toPcm, wavHeader } from "./sound.js";
import { TranscriptView } from "./transcript-view.js";
import { Waveform } from "./waveform.js";

/** Seconds of a dictation that are kept for listening to it. */
const KEPT_S = 1800;

export class TranscribeView {
  #root;
  #form;
  #player;
  #transcript;
  #wave;
  /** @type {any[]} */
  #models = [];
  /** @type {File | null} */
  #file = null;
  /** @type {AbortController | null} */
  #work = null;
  /** @type {LiveTranscription | null} */
  #live = null;
  /** @type {ArrayBuffer[]} what the microphone heard, to be played afterwards */
  #kept = [];

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#form = $("form", root).elements;
    this.#player = new Player($(".player", root));
    this.#transcript = new TranscriptView($(".transcript", root));
    this.#wave = new Waveform($(".mic canvas", root));
    this.#player.onTime = (seconds) => this.#transcript.at(seconds);
    this.#transcript.onPick = (segment) => this.#player.seek(segment.start, { play: true });
    this.#form.model.addEventListener("change", () => this.#offerLanguages());
    $("form", root).addEventListener("submit", (event) => (event.preventDefault(), void this.#submit()));
    $(".mic .record", root).addEventListener("click", () => void this.#record());
    this.#takeFiles();
  }

  /** Called each time the view is shown. */
  async show() {
    const { data } = await getJson("v1/models");
    const usual = data.find((model) => model.id === "whisper-1")?.alias_of;
    this.#models = data.filter((model) => model.task === "speech-to-text" && !model.alias_of);
    this.#models.sort((one, other) => Number(other.id === usual) - Number(one.id === usual));
    fill(
      this.#form.model,
      this.#models.map(({ id }) => ({ value: id, label: id === usual ? `${id} (default)` : id })),
    );
    $(".diarize", this.#root).hidden = !data.some((model) => model.task === "diarization");
    this.#offerLanguages();
  }

  #offerLanguages() {
    const model = this.#models.find(({ id }) => id === this.#form.model.value);
    const languages = (model?.languages ?? []).map((code) => ({ value: code, label: language(code) }));
    languages.sort((one, other) => one.label.localeCompare(other.label));
    fill(this.#form.language, [{ value: "", label: "Detect" }, ...languages]);
    $(".words", this.#root).hidden = model?.word_times === false;
  }

  #takeFiles() {
    const zone = $(".drop", this.#root);
    const input = $("input[type=file]", zone);
    input.addEventListener("change", () => input.files[0] && void this.#choose(input.files[0]));
    for (const name of ["dragover", "dragleave", "drop"]) {
      zone.addEventListener(name, (event) => {
        event.preventDefault();
        zone.classList.toggle("over", name === "dragover");
      });
    }
    zone.addEventListener("drop", ({ dataTransfer }) => dataTransfer.files[0] && void this.#choose(dataTransfer.files[0]));
  }

  /** @param {File} file */
  async #choose(file) {
    this.#file = file;
    $(".drop .chosen", this.#root).replaceChildren(h("b", {}, file.name), ` ${bytes(file.size)}`);
    $(".go", this.#root).disabled = false;
    this.#transcript.clear(stem(file.name));
    complain($(".error", this.#root), null);
    await this.#player.open(file);
  }

  /** The button starts, and while something is under way it stops. */
  async #submit() {
    if (this.#work) return this.#work.abort();
    this.#work = new AbortController();
    this.#busy("Uploading the file …");
    this.#transcript.clear(stem(this.#file.name));
    try {
      await this.#read(await ask("v1/audio/transcriptions", { form: this.#request(), signal: this.#work.signal }));
    } catch (error) {
      if (!isAbort(error)) complain($(".error", this.#root), error);
    } finally {
      this.#work = null;
      this.#busy("");
    }
  }

  get #labelsSpeakers() {
    return this.#form.diarize.checked && !$(".diarize", this.#root).hidden;
  }

  #request() {
    const form = new FormData();
    form.set("file", this.#file);
    form.set("model", this.#form.model.value);
    form.set("stream", "true");
    form.append("timestamp_granularities[]", "segment");
    if (this.#form.language.value) form.set("language", this.#form.language.value);
    if (this.#form.words.checked && !$(".words", this.#root).hidden) form.append("timestamp_granularities[]", "word");
    if (this.#labelsSpeakers) form.set("diarize", "true");
    return form;
  }

  /** @param {Response} response */
  async #read(response) {
    const speakers = this.#labelsSpeakers;
    this.#busy("Transcribing …");
    for await (const event of events(response)) {
      if (event.type === "transcript.text.delta" && !speakers) this.#heard({ ...event, text: event.delta });
      else if (event.type === "transcript.text.segment") this.#heard(event);
      else if (event.type === "transcript.text.done") this.#transcript.done({ language: event.language, duration: event.duration });
    }
    announce(this.#transcript.transcript.text ? "The transcript is complete." : "This file contains no speech.");
  }

  /** @param {any} event */
  #heard({ start, end, text, words, speaker }) {
    this.#transcript.add({ start, end, text: text.trim(), ...(words ? { words } : {}), ...(speaker ? { speaker } : {}) });
    if (this.#player.duration) $("progress", this.#root).value = end / this.#player.duration;
  }

  /** @param {string} status empty when nothing is under way */
  #busy(status) {
    const bar = $("progress", this.#root);
    $(".doing", this.#root).hidden = !status;
    $(".doing span", this.#root).textContent = status;
    bar.removeAttribute("value");
    $(".go", this.#root).textContent = status ? "Stop" : "Transcribe";
    if (status) complain($(".error", this.#root), null);
  }

  async #record() {
    if (this.#live) return this.#live.stop();
    this.#player.close();
    this.#transcript.clear("dictation");
    complain($(".error", this.#root), null);
    this.#recording(true);
    this.#live = new LiveTranscription({
      sound: (samples) => this.#sounds(samples),
      partial: (text) => this.#transcript.partial(text),
      final: (segment) => {
        this.#transcript.partial("");
        const { start, end, text, speaker } = segment;
        this.#transcript.add({ start, end, text: text.trim(), ...(speaker ? { speaker } : {}) });
      },
      voice: (speaking) => $(".mic .lamp", this.#root).classList.toggle("on", speaking),
      end: (error) => this.#recorded(error),
    });
    try {
      const speakers = this.#labelsSpeakers ? { diarize: true } : {};
      await this.#live.start({ model: this.#form.model.value, language: this.#form.language.value, ...speakers });
    } catch (error) {
      this.#recorded(error);
    }
  }

  /** @param {Float32Array} samples */
  #sounds(samples) {
    if (this.#kept.length * samples.length < KEPT_S * RATE) this.#kept.push(toPcm(samples));
    const loudness = level(samples);
    this.#wave.push(loudness);
    $(".mic meter", this.#root).value = loudness;
  }

  /** @param {unknown} error */
  #recorded(error) {
    this.#live = null;
    this.#transcript.partial("");
    this.#recording(false);
    complain($(".error", this.#root), error);
    const sound = new Blob(this.#kept.splice(0));
    if (sound.size) void this.#player.open(new Blob([wavHeader(sound.size, RATE), sound], { type: "audio/wav" }));
  }

  /** @param {boolean} on */
  #recording(on) {
    const button = $(".mic .record", this.#root);
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? "Stop" : "Start";
    $(".mic", this.#root).classList.toggle("recording", on);
    $(".mic .lamp", this.#root).classList.remove("on");
    $(".go", this.#root).disabled = on || !this.#file;
  }
}

/** @param {string} name of a file */
const stem = (name) => name.replace(/\.[^.]*$/, "") || "transcript";
