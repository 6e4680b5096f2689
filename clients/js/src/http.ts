/** Sends requests with `fetch`: one place for errors, retries and streams. */

import type { ServerEvent } from "./bodies.js";
import { APIError, ConnectionFailed, errorOfResponse, OpenSpeechError, TimedOut } from "./errors.js";
import { Attempts, type Retry } from "./retry.js";
import { EventParser } from "./sse.js";

export interface Endpoint {
  /** The URL before the paths of the API. */
  root: string;
  apiKey: string | null;
  headers: Record<string, string>;
  timeoutMs: number;
  retry: Retry;
  fetch: typeof fetch;
}

export interface Call {
  method?: "GET" | "POST" | "DELETE";
  path: string;
  query?: Record<string, string>;
  /** An object that is sent as JSON, or a form. */
  body?: FormData | object;
  headers?: Record<string, string>;
  /** Whether the request has the same effect when it is sent twice; true unless stated otherwise. */
  repeatable?: boolean;
  signal?: AbortSignal | undefined;
}

export class Http {
  constructor(readonly endpoint: Endpoint) {}

  /** Send a request and parse the response: an object, text, or bytes. */
  async parsed(call: Call): Promise<unknown> {
    return this.opened(call, async (response) => {
      const kind = response.headers.get("content-type") ?? "";
      if (kind.startsWith("application/json")) return response.json() as Promise<unknown>;
      return kind.startsWith("text/") || kind.startsWith("application/x-subrip") ? response.text() : bytesOf(response);
    });
  }

  /** Send a request and read the whole response. */
  async bytes(call: Call): Promise<Uint8Array<ArrayBuffer>> {
    return this.opened(call, bytesOf);
  }

  /** Send a request and yield the response as it arrives. It is repeated only before its first bytes. */
  async *stream(call: Call): AsyncGenerator<Uint8Array, void, undefined> {
    const response = await this.opened(call, async (opened) => opened);
    const reader = response.body?.getReader();
    if (!reader) return;
    try {
      for (;;) {
        const { done, value } = await translated(() => reader.read(), call.signal);
        if (done) return;
        yield value;
      }
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }

  /** Send a request and yield its server-sent events as they arrive. Throws APIError for an event that reports an error. */
  async *events(call: Call): AsyncGenerator<ServerEvent, void, undefined> {
    const parser = new EventParser();
    for await (const data of this.stream(call)) yield* parser.feed(data);
  }

  private async opened<T>(call: Call, read: (response: Response) => Promise<T>): Promise<T> {
    const attempts = new Attempts(this.endpoint.retry, call.repeatable ?? true);
    for (;;) {
      try {
        return await translated(async () => {
          const response = await this.send(call);
          if (!response.ok) throw errorOfResponse(response.status, response.headers, await response.text());
          return read(response);
        }, call.signal);
      } catch (error) {
        await attempts.after(error);
      }
    }
  }

  private send(call: Call): Promise<Response> {
    const { root, apiKey, headers, timeoutMs } = this.endpoint;
    const query = new URLSearchParams(call.query).toString();
    const isForm = call.body instanceof FormData;
    const late = AbortSignal.timeout(timeoutMs);
    return this.endpoint.fetch.call(globalThis, `${root}${call.path}${query && `?${query}`}`, {
      method: call.method ?? "GET",
      headers: {
        ...(apiKey ? { Authorization: `Bearer ${apiKey}` } : {}),
        ...(call.body && !isForm ? { "Content-Type": "application/json" } : {}),
        ...headers,
        ...call.headers,
      },
      body: call.body === undefined ? null : isForm ? (call.body as FormData) : JSON.stringify(call.body),
      signal: call.signal ? AbortSignal.any([call.signal, late]) : late,
    });
  }
}

async function bytesOf(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await response.arrayBuffer());
}

/** Run a step of a request; convert the errors of `fetch`. The caller's own abort is thrown as it is. */
async function translated<T>(step: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof OpenSpeechError || error instanceof APIError || signal?.aborted) throw error;
    if (error instanceof DOMException && error.name === "TimeoutError") {
      throw new TimedOut("The server did not respond in time.", { cause: error });
    }
    const reason = error instanceof Error ? ((error.cause as Error | undefined)?.message ?? error.message) : String(error);
    throw new ConnectionFailed(`The connection to the server failed: ${reason}`, { cause: error });
  }
}
