/** Building blocks of the page. Text goes in as text: nothing here, or anywhere in this page, parses HTML. */

/**
 * Build an element.
 *
 * @param {string} tag
 * @param {Record<string, any>} [props] attributes; `on…` functions become listeners; true is an empty attribute; false, null and
 *   undefined are left out.
 * @param {...(Node | string | number | null | undefined | false)} children
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(
    ...children.filter((child) => child !== null && child !== undefined && child !== false).map((c) => (c instanceof Node ? c : String(c))),
  );
  return node;
}

/**
 * Find an element that the page must have.
 *
 * @param {string} selector
 * @param {ParentNode} [within]
 * @returns {any}
 */
export function $(selector, within = document) {
  const found = within.querySelector(selector);
  if (!found) throw new Error(`The page has no ${selector}.`);
  return found;
}

/**
 * Fill a select, keeping what is chosen if it is still there.
 *
 * @param {HTMLSelectElement} select
 * @param {{value: string, label: string}[]} options
 */
export function fill(select, options) {
  const chosen = select.value;
  select.replaceChildren(...options.map(({ value, label }) => h("option", { value }, label)));
  if (options.some(({ value }) => value === chosen)) select.value = chosen;
}

/**
 * Show one of several nodes, hide the others.
 *
 * @param {Iterable<HTMLElement>} nodes
 * @param {(node: HTMLElement) => boolean} which
 */
export function showOnly(nodes, which) {
  for (const node of nodes) node.hidden = !which(node);
}

/**
 * Hand a file to the person at the page.
 *
 * @param {Blob} blob
 * @param {string} name
 */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
