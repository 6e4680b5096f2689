/** The view Speak: text becomes sound, in a voice that is chosen or mixed. */

import { getJson } from "./api.js";
import { $, download } from "./dom.js";
import { Mixer } from "./mixer.js";
import { complain, isAbort } from "./notices.js";
import { Player } from "./player.js";
import { level } from "./sound.js";
import { play } from "./speech-player.js";
import { VoiceBrowser } from "./voice-browser.js";
import { title } from "./voices.js";
import { Waveform, samplesOf } from "./waveform.js";

const SSML = '<speak>\n  Good morning. <break time="500ms"/>\n  <prosody rate="slow">Take your time.</prosody>\n</speak>';

export class SpeakView {
  #root;
  #form;
  #player;
  #browser;
  #mixer;
  #wave;
  /** @type {{id: string, model: string, title: string} | null} */
  #voice = null;
  /** @type {AbortController | null} */
  #work = null;
  /** @type {{blob: Blob, playable: Blob, name: string} | null} */
  #made = null;
  #drawing = false;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#form = $("form.compose", root).elements;
    this.#player = new Player($(".player", root));
    this.#wave = new Waveform($(".saying canvas", root));
    this.#browser = new VoiceBrowser($(".voices", root));
    this.#mixer = new Mixer($(".mixer", root));
    this.#browser.onChoose = (voice) => this.#choose({ id: voice.id, model: voice.model, title: title(voice) });
    this.#browser.onMix = (voice) => this.#mix(voice);
    this.#mixer.onChange = () => this.#mixed();
    $("form.compose", root).addEventListener("submit", (event) => (event.preventDefault(), void this.#submit()));
    $("form.compose", root).addEventListener("input", () => this.#told());
    $(".save", root).addEventListener("click", () => download(this.#made.blob, this.#made.name));
    for (const kind of this.#form.kind) kind.addEventListener("change", () => this.#kind(kind.value));
    this.#told();
  }

  /** Called each time the view is shown. */
  async show() {
    const voices = await this.#browser.load();
    if (this.#voice) return;
    const { data } = await getJson("v1/models");
    const usual = data.find((model) => model.id === "tts-1");
    const first = voices.find(({ id, model }) => model === usual?.alias_of && id === usual?.default_voice) ?? voices[0];
    if (first) this.#choose({ id: first.id, model: first.model, title: title(first) });
  }

  /** @param {{id: string, model: string, title: string}} voice */
  #choose(voice) {
    this.#voice = voice;
    this.#browser.choose(voice.id);
    $(".who", this.#root).textContent = voice.title;
  }

  /** @param {import("./voices.js").Voice} voice */
  #mix(voice) {
    // The voice that speaks now is the first of the mixture, if it is one of the same model.
    if (!this.#mixer.voice && this.#voice?.model === voice.model && this.#voice.id !== voice.id)
      this.#mixer.add({ ...this.#voice, weight: 1 });
    this.#mixer.add({ id: voice.id, model: voice.model, title: title(voice), weight: 1 });
  }

  #mixed() {
    if (this.#mixer.voice) this.#choose({ id: this.#mixer.voice, model: this.#mixer.model, title: this.#mixer.title });
  }

  /** @param {string} kind */
  #kind(kind) {
    const { text } = this.#form;
    if (kind === "ssml" && !text.value.trim()) text.value = SSML;
    text.classList.toggle("code", kind === "ssml");
    this.#told();
  }

  #told() {
    $(".speed output", this.#root).textContent = `${Number(this.#form.speed.value).toFixed(2)} ×`;
    $(".length", this.#root).textContent = `${this.#form.text.value.length} characters`;
    $(".go", this.#root).disabled = !this.#work && !this.#form.text.value.trim();
  }

  /** The button speaks, and while it speaks it stops. */
  async #submit() {
    if (this.#work) return this.#work.abort();
    const work = new AbortController();
    const form = this.#form.format.value;
    this.#work = work;
    this.#made = null;
    this.#player.close();
    this.#player.picture(null);
    this.#wave.set(new Float32Array(0));
    $(".saying canvas", this.#root).hidden = true;
    this.#busy("Generating the first words …");
    try {
      const { file, playable, heard } = await play(this.#request(form), this.#player.audio, work.signal, {
        started: () => this.#started(form),
        samples: (samples) => this.#sounds(samples),
        grown: (blob) => void this.#grown(blob),
      });
      this.#made = { blob: file, playable, name: `speech.${form}` };
      $(".save", this.#root).hidden = false;
      $(".save", this.#root).textContent = `Download ${form}`;
      await heard;
    } catch (error) {
      if (!isAbort(error)) complain($(".compose .error", this.#root), error);
    } finally {
      this.#work = null;
      this.#busy("");
      await this.#finished();
    }
  }

  /** @param {string} form */
  #request(form) {
    return {
      model: this.#voice?.model ?? "tts-1",
      voice: this.#voice?.id,
      input: this.#form.text.value,
      input_type: this.#form.kind.value,
      speed: Number(this.#form.speed.value),
      response_format: form,
    };
  }

  /** @param {string} form the player plays files; what comes as samples is only seen until there is a file */
  #started(form) {
    this.#busy("Speaking …");
    const file = form !== "wav" && form !== "pcm";
    $(".saying canvas", this.#root).hidden = file;
    if (file) this.#player.show();
  }

  /** @param {Blob} blob */
  async #grown(blob) {
    if (this.#drawing) return;
    this.#drawing = true;
    const samples = await samplesOf(blob, this.#player.duration);
    if (samples && this.#work) this.#player.picture(samples);
    this.#drawing = false;
  }

  /** @param {Float32Array} samples a piece may be long: each bar is a fiftieth of a second */
  #sounds(samples) {
    for (let at = 0; at < samples.length; at += 480) this.#wave.push(level(samples.subarray(at, at + 480)));
  }

  /** @param {string} status empty when nothing is under way */
  #busy(status) {
    $(".saying", this.#root).hidden = !status;
    $(".saying span", this.#root).textContent = status;
    $(".go", this.#root).textContent = status ? "Stop" : "Speak";
    if (status) complain($(".compose .error", this.#root), null);
    if (status) $(".save", this.#root).hidden = true;
    this.#told();
  }

  async #finished() {
    if (!this.#made) return;
    $(".save", this.#root).hidden = false;
    this.#player.show();
    this.#player.picture(await samplesOf(this.#made.playable, this.#player.duration || 1));
  }
}
