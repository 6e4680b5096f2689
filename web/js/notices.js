/** What the page says to the person at it: short notices, and errors in the server's words. */

import { $, h } from "./dom.js";

const SHOWN_MS = 3000;

/**
 * Say something in passing; a screen reader reads it out.
 *
 * @param {string} text
 */
export function announce(text) {
  const notice = h("p", {}, text);
  $("#notices").replaceChildren(notice);
  setTimeout(() => notice.remove(), SHOWN_MS);
}

/**
 * Show what went wrong, at its place, until it is tried again.
 *
 * @param {HTMLElement} place
 * @param {unknown} error none takes the message away
 */
export function complain(place, error) {
  const message = error instanceof Error ? error.message : "";
  place.textContent = message;
  place.hidden = !message;
}

/** @param {unknown} error */
export const isAbort = (error) => error instanceof Error && error.name === "AbortError";
