/** The documentation of the API, made of the server's own OpenAPI document. */

import { ROOT, getJson } from "./api.js";
import { $, h } from "./dom.js";
import { announce, complain } from "./notices.js";
import { curl, endpoints } from "./openapi.js";
import { shell } from "./shell.js";

const search = $("#search");

/**
 * A text in which `words` stand between back quotes, as in Markdown.
 *
 * @param {string} text
 */
const prose = (text) => text.split(/`([^`]+)`/).map((part, index) => (index % 2 ? h("code", {}, part) : part));

/** @param {import("./openapi.js").Field[]} fields */
function table(fields) {
  const row = (field) =>
    h(
      "tr",
      {},
      h(
        "th",
        { scope: "row", class: `deep-${field.depth}` },
        h("code", {}, field.name),
        field.required && h("span", { class: "needed" }, "required"),
      ),
      h(
        "td",
        {},
        h("code", { class: "type" }, field.type),
        field.at && field.at !== "query" && h("span", { class: "soft" }, ` in the ${field.at}`),
      ),
      h("td", {}, ...prose(field.text)),
    );
  return h(
    "table",
    {},
    h("thead", { class: "unseen" }, h("tr", {}, ...["Name", "Type", "Description"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, ...fields.map(row)),
  );
}

/**
 * @param {string} title
 * @param {import("./openapi.js").Field[]} fields
 * @param {boolean} [open]
 */
const part = (title, fields, open = true) => fields.length > 0 && h("details", { open }, h("summary", {}, title), table(fields));

/** @param {import("./openapi.js").Endpoint} endpoint */
function article(endpoint) {
  const command = curl(endpoint, ROOT.href);
  const copy = async () => {
    await navigator.clipboard.writeText(command);
    announce("Copied.");
  };
  const answers = endpoint.answers.filter(({ status }) => status.startsWith("2"));
  const failures = endpoint.answers.filter(({ status }) => !status.startsWith("2"));
  return h(
    "article",
    { id: endpoint.id },
    h("h3", {}, h("span", { class: `verb ${endpoint.verb.toLowerCase()}` }, endpoint.verb), h("code", {}, endpoint.path)),
    h("p", {}, ...prose(endpoint.title)),
    endpoint.text && h("p", { class: "soft" }, ...prose(endpoint.text)),
    part("Parameters", endpoint.parameters),
    ...endpoint.bodies.map(({ type, fields }, index) => part(`Body, ${type}`, fields, index === 0)),
    ...answers.map(({ status, type, fields }) => part(`Response ${status}${type ? `, ${type}` : ""}`, fields, false)),
    failures.length > 0 && h("p", { class: "soft" }, `Errors: ${failures.map(({ status, text }) => `${status} ${text}`).join("; ")}`),
    h(
      "div",
      { class: "try" },
      h("pre", { tabindex: 0 }, h("code", {}, command)),
      h("button", { class: "small quiet", type: "button", onclick: () => void copy() }, "Copy"),
    ),
  );
}

/**
 * @param {import("./openapi.js").Endpoint[]} all
 */
function render(all) {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = all.filter(({ verb, path, title, group }) =>
    words.every((word) => `${verb} ${path} ${title} ${group}`.toLowerCase().includes(word)),
  );
  const groups = [...new Set(shown.map(({ group }) => group))];
  const link = ({ id, verb, path }) =>
    h("li", {}, h("a", { href: `#${id}` }, h("span", { class: `verb ${verb.toLowerCase()}` }, verb), path));
  const within = (group) => shown.filter((endpoint) => endpoint.group === group);
  $(".contents").replaceChildren(...groups.flatMap((group) => [h("h2", {}, group), h("ul", {}, ...within(group).map(link))]));
  $(".endpoints").replaceChildren(
    ...groups.map((group) => h("section", { "aria-label": group }, h("h2", {}, group), ...within(group).map(article))),
  );
}

async function show() {
  try {
    const document_ = await getJson("openapi.json");
    const all = endpoints(document_);
    $(".lead").textContent = `${document_.info.title} ${document_.info.version}. ${document_.info.summary ?? ""}`;
    search.addEventListener("input", () => render(all));
    render(all);
    if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
    complain($("main .error"), null);
  } catch (error) {
    complain($("main .error"), error);
  }
}

shell(() => void show());
void show();
