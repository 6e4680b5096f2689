/** The list of voices: which can be chosen, and which of them a reader is looking for. Pure. */

import { language } from "./format.js";

/** @typedef {{id: string, name: string, kind: string, display_name?: string, description?: string, language?: string, gender?: string,
 *   model?: string, engine?: string, licence?: string, sample: string}} Voice */
/** @typedef {{search?: string, language?: string, gender?: string, engine?: string}} Wanted */

/**
 * OpenAI's names are left out: each stands for a voice that is in the list already.
 *
 * @param {Voice[]} voices
 */
export const own = (voices) => voices.filter((voice) => voice.kind !== "alias" && voice.model);

/** @param {Voice} voice */
export const title = (voice) => voice.display_name ?? (voice.kind === "builtin" ? plain(voice.name) : voice.name);

/** `en_US-joe-medium` is Joe, whose quality is medium. */
function plain(name) {
  const found = /^[a-z]{2,3}_[A-Z]{2}-(.+)-(x_low|low|medium|high)$/.exec(name);
  return found ? found[1].replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase()) : name;
}

/**
 * @param {Voice[]} voices
 * @param {Wanted} wanted what is empty does not matter; `language` may be `en` or `en-GB`
 */
export function matching(voices, wanted) {
  const words = (wanted.search ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  return voices.filter((voice) => {
    const text = [voice.id, voice.name, title(voice), voice.description, voice.language && language(voice.language), voice.model]
      .join(" ")
      .toLowerCase();
    return (
      words.every((word) => text.includes(word)) &&
      (!wanted.language || voice.language === wanted.language || voice.language?.split("-")[0] === wanted.language) &&
      (!wanted.gender || voice.gender === wanted.gender) &&
      (!wanted.engine || voice.engine === wanted.engine)
    );
  });
}

/**
 * What there is of a field, in order.
 *
 * @param {Voice[]} voices
 * @param {keyof Voice} field
 */
export const kinds = (voices, field) => [...new Set(voices.map((voice) => voice[field]).filter(Boolean))].sort();
