/** What every page has: the switch of its colours, and the field of its key. */

import { key, onKeyRefused } from "./api.js";
import { $ } from "./dom.js";

const STORED_THEME = "open-speech.theme";
const THEMES = ["system", "light", "dark"];

/** @param {() => void} onKey called when there is another key */
export function shell(onKey) {
  theme($("#theme"));
  keyField($("#key-dialog"), $("#key"), onKey);
}

/** @param {HTMLButtonElement} button */
function theme(button) {
  const html = document.documentElement;
  const show = () => {
    const now = html.dataset.theme ?? "system";
    button.dataset.now = now;
    button.setAttribute("aria-label", `Colours: ${now}`);
    button.title = `Colours: ${now}`;
  };
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(html.dataset.theme ?? "system") + 1) % THEMES.length];
    if (next === "system") {
      delete html.dataset.theme;
      localStorage.removeItem(STORED_THEME);
    } else {
      html.dataset.theme = next;
      localStorage.setItem(STORED_THEME, next);
    }
    show();
  });
  show();
}

/**
 * @param {HTMLDialogElement} dialog
 * @param {HTMLButtonElement} button
 * @param {() => void} onKey
 */
function keyField(dialog, button, onKey) {
  const field = $("input", dialog);
  const open = (refused) => {
    $(".refused", dialog).hidden = !refused;
    field.value = key.get();
    if (!dialog.open) dialog.showModal();
  };
  const show = () => button.classList.toggle("set", Boolean(key.get()));
  button.addEventListener("click", () => open(false));
  // Who closed it without a key is not asked again each time that a view looks for news.
  let declined = false;
  onKeyRefused(() => declined || open(true));
  dialog.addEventListener("close", () => {
    declined = dialog.returnValue !== "keep";
    if (declined) return;
    dialog.returnValue = "";
    key.set(field.value.trim());
    show();
    onKey();
  });
  show();
}
