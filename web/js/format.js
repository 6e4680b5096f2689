/** Figures and codes as people read them. Pure. */

/** @param {number | null | undefined} bytes */
export function bytes(bytes) {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return "–";
  if (bytes < 1000) return `${bytes} B`;
  const power = Math.min(4, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return `${value.toFixed(value < 10 ? 1 : 0)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

/**
 * A place in a recording: `0:07`, `1:02:09`.
 *
 * @param {number} seconds
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds || 0));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/**
 * How long ago: `just now`, `40 s ago`, `3 min ago`.
 *
 * @param {number | null | undefined} seconds
 */
export function ago(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 5) return "just now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

/**
 * Name a language: `en-GB` is `British English` to an English reader.
 *
 * @param {string} code
 */
export function language(code) {
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(code) ?? code;
  } catch {
    return code; // not every engine's code is a BCP-47 tag
  }
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export const count = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

/**
 * A latency: `0.32 s`, `12 s`.
 *
 * @param {number} ms
 */
export const seconds = (ms) => `${(ms / 1000).toFixed(ms < 9995 ? 2 : 0)} s`;
