/** The page: five views, one of them shown, as the address says. */

import { $, showOnly } from "./dom.js";
import { ModelsView } from "./models.js";
import { complain } from "./notices.js";
import { shell } from "./shell.js";
import { SpeakView } from "./speak.js";
import { StatusView } from "./status.js";
import { TalkView } from "./talk.js";
import { TranscribeView } from "./transcribe.js";

const KINDS = { transcribe: TranscribeView, speak: SpeakView, talk: TalkView, models: ModelsView, status: StatusView };
const views = Object.fromEntries(Object.entries(KINDS).map(([name, View]) => [name, new View($(`#view-${name}`))]));
let shown = "";

/** The name in the address; the first view where it names none. */
const named = () => (location.hash.slice(1) in views ? location.hash.slice(1) : "transcribe");

async function show() {
  const name = named();
  if (shown && shown !== name) views[shown].hide?.();
  shown = name;
  showOnly(document.querySelectorAll("main > section"), ({ id }) => id === `view-${name}`);
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${$(`#view-${name} h1`).textContent} · Open Speech`;
  const place = $(`#view-${name} .error`);
  try {
    complain(place, null);
    await views[name].show();
  } catch (error) {
    complain(place, error);
  }
}

addEventListener("hashchange", () => void show());
shell(() => void show());
void show();
