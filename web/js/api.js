/** Every call to the server: addresses, the key, errors, events. */

import { EventReader } from "./sse.js";

/** The server's root. The page may lie under a prefix that a proxy adds, so it is told by where this file is. */
export const ROOT = new URL("../../", import.meta.url);
const STORED_KEY = "open-speech.key";
const KEY_PROTOCOL = "openai-insecure-api-key.";

/** A failure, in the server's own words. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{status?: number, code?: string | null, param?: string | null, retryAfterS?: number}} [about]
   */
  constructor(message, { status = 0, code = null, param = null, retryAfterS = 0 } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.param = param;
    this.retryAfterS = retryAfterS;
  }
}

/** The API key, kept in this browser only. */
export const key = {
  get: () => localStorage.getItem(STORED_KEY) ?? "",
  /** @param {string} value */
  set(value) {
    if (value) localStorage.setItem(STORED_KEY, value);
    else localStorage.removeItem(STORED_KEY);
  },
};

/** Whoever wants to know that the server asks for a key. */
const refused = new EventTarget();
/** @param {() => void} listener */
export const onKeyRefused = (listener) => refused.addEventListener("refused", listener);

/** @returns {Record<string, string>} */
const credentials = () => (key.get() ? { Authorization: `Bearer ${key.get()}` } : {});

/**
 * @param {string} path from the server's root, with or without its slash, or with the prefix that a proxy serves it under
 * @param {Record<string, string | number | boolean | undefined>} [query]
 */
export function address(path, query = {}) {
  const below = path.startsWith(ROOT.pathname) ? path.slice(ROOT.pathname.length) : path.replace(/^\//, "");
  const url = new URL(below, ROOT);
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== "") url.searchParams.set(name, String(value));
  return url;
}

/**
 * Ask the server; a failure of any kind is an ApiError.
 *
 * @param {string} path
 * @param {{method?: string, json?: unknown, form?: FormData, signal?: AbortSignal, accept?: string}} [request]
 * @returns {Promise<Response>}
 */
export async function ask(path, { method, json, form, signal, accept } = {}) {
  const headers = {
    ...credentials(),
    ...(json === undefined ? {} : { "Content-Type": "application/json" }),
    ...(accept ? { Accept: accept } : {}),
  };
  const body = json === undefined ? form : JSON.stringify(json);
  let response;
  try {
    response = await fetch(address(path), { method: method ?? (body ? "POST" : "GET"), headers, body, signal, credentials: "omit" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("The server does not respond. Check that it is running.");
  }
  if (!response.ok) throw await failure(response);
  return response;
}

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export const getJson = async (path, signal) => (await ask(path, { signal })).json();

/** @param {Response} response */
async function failure(response) {
  if (response.status === 401) refused.dispatchEvent(new Event("refused"));
  const about = { status: response.status, retryAfterS: Number(response.headers.get("Retry-After")) || 0 };
  const body = await response.json().catch(() => null);
  return errorOf(body, `The server returned ${response.status} ${response.statusText}`.trim() + ".", about);
}

/**
 * Read the error envelope.
 *
 * @param {any} body
 * @param {string} [otherwise]
 * @param {object} [about]
 */
export function errorOf(body, otherwise = "The server returned an error.", about = {}) {
  const told = body?.error ?? {};
  return new ApiError(typeof told === "string" ? told : (told.message ?? otherwise), {
    ...about,
    code: told.code ?? null,
    param: told.param ?? null,
  });
}

/**
 * Read the events of an answer; one that holds an error is thrown.
 *
 * @param {Response} response
 * @returns {AsyncGenerator<any>}
 */
export async function* events(response) {
  const reader = new EventReader();
  for await (const text of pieces(response.body.pipeThrough(new TextDecoderStream()))) {
    for (const data of reader.feed(text)) {
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      if (event.error) throw errorOf(event);
      yield event;
    }
  }
}

/**
 * Read a stream piece by piece; not every browser can iterate over one.
 *
 * @template T
 * @param {ReadableStream<T>} stream
 * @returns {AsyncGenerator<T>}
 */
export async function* pieces(stream) {
  const reader = stream.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    // Leaving early hangs up, and the server stops working for nobody. What ended by itself has nothing left to cancel.
    reader.cancel().catch(() => undefined);
  }
}

/**
 * Open a WebSocket. The key goes into the subprotocol, the one place where a browser can put it: never into the address.
 *
 * @param {string} path
 * @param {Record<string, string | number | boolean | undefined>} [query]
 */
export function socket(path, query) {
  const url = address(path, query);
  url.protocol = url.protocol.replace("http", "ws");
  try {
    return new WebSocket(url, key.get() ? ["realtime", KEY_PROTOCOL + key.get()] : []);
  } catch {
    throw new ApiError("Browsers cannot send this API key over a WebSocket: it may contain only letters, digits and -._~.");
  }
}
