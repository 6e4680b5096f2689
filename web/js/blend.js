/** A mixture of voices, as the server writes it: `af_bella(2)+af_sky(1)`. Pure. */

/** @typedef {{id: string, weight: number}} Part */

/**
 * @param {Part[]} parts those of weight 0 are left out
 * @returns {string} one voice alone is just its name
 */
export function write(parts) {
  const heard = parts.filter(({ weight }) => weight > 0);
  if (heard.length === 1) return heard[0].id;
  return heard.map(({ id, weight }) => `${id}(${Number(weight.toFixed(2))})`).join("+");
}

/**
 * @param {string} text
 * @returns {Part[]} empty if it is no mixture of voices
 */
export function parse(text) {
  const parts = text.split("+").map((part) => /^\s*([\w.-]+)\s*(?:\(\s*(\d+(?:\.\d+)?)\s*\))?\s*$/.exec(part));
  return parts.every(Boolean) ? parts.map(([, id, weight]) => ({ id, weight: weight === undefined ? 1 : Number(weight) })) : [];
}

/**
 * How much of the whole each part is, in percent.
 *
 * @param {Part[]} parts
 */
export function shares(parts) {
  const whole = parts.reduce((sum, { weight }) => sum + weight, 0);
  return parts.map(({ weight }) => (whole ? Math.round((100 * weight) / whole) : 0));
}
