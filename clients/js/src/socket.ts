/** WebSockets of any environment: the class is passed in, or is the global one. */

import { ConnectionFailed } from "./errors.js";
import type { Http } from "./http.js";

/** What this client uses of a WebSocket; browsers and Node from version 22 have it as `WebSocket`. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string | ArrayBuffer | ArrayBufferView<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketClass = new (url: string, protocols?: string[]) => WebSocketLike;

/** The close code of a connection whose request is invalid, or that was idle for too long. */
export const POLICY = 1008;
/** Bytes that wait to be sent, above which a sender waits. */
const CALM_BYTES = 1 << 20;
const POLL_MS = 20;

export type Message = { type: string } & Record<string, unknown>;

/** An open connection: messages are read one by one with `next`. */
export class Connection {
  private readonly waiting: Message[] = [];
  private wake: (() => void) | null = null;
  private closed: { code: number; reason: string } | null = null;

  private constructor(private readonly socket: WebSocketLike) {}

  /** The close code; null while the connection is open. */
  get closeCode(): number | null {
    return this.closed?.code ?? null;
  }

  /** Connect. Throws the server's error if it rejects the connection, else ConnectionFailed. */
  static async open(Class: WebSocketClass, http: Http, path: string, query: Record<string, string>): Promise<Connection> {
    const { root, apiKey } = http.endpoint;
    // A browser cannot set headers: the key is a subprotocol, and another one is offered for the server to select.
    const protocols = apiKey ? ["realtime", `openai-insecure-api-key.${apiKey}`] : ["realtime"];
    const url = new URL(`${root}${path}?${new URLSearchParams(query)}`, globalThis.location?.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new Class(url.href, protocols);
    socket.binaryType = "arraybuffer";
    const connection = new Connection(socket);
    const opened = new Promise<boolean>((resolve) => {
      socket.onopen = () => resolve(true);
      socket.onerror = () => resolve(false);
      socket.onclose = (event: { code: number; reason: string }) => {
        connection.closed = { code: event.code, reason: event.reason };
        connection.wake?.();
        resolve(false);
      };
    });
    socket.onmessage = (event: { data: unknown }) => connection.arrived(event.data);
    if (!(await opened)) {
      await reasonOf(http, path);
      throw new ConnectionFailed("The WebSocket could not be opened.");
    }
    return connection;
  }

  /** Return the next message; null when the connection is closed. */
  async next(): Promise<Message | null> {
    while (!this.waiting.length && !this.closed) {
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    return this.waiting.shift() ?? null;
  }

  /** Send a JSON object, or audio. Nothing is sent on a closed connection: the reader notices that it is closed. */
  send(data: object | Uint8Array<ArrayBuffer>): void {
    if (!this.closed) this.socket.send(data instanceof Uint8Array ? data : JSON.stringify(data));
  }

  /** Wait until the data that was sent has mostly left. */
  async calm(): Promise<void> {
    while (!this.closed && this.socket.bufferedAmount > CALM_BYTES) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }

  close(): void {
    if (!this.closed) this.socket.close(1000);
    this.closed ??= { code: 1000, reason: "" };
    this.wake?.();
  }

  /** Describe why the connection is closed. */
  failure(): ConnectionFailed {
    const { code, reason } = this.closed ?? { code: 1006, reason: "" };
    return new ConnectionFailed(`The connection was closed with the code ${code}${reason && `: ${reason}`}.`);
  }

  private arrived(data: unknown): void {
    if (typeof data !== "string") return; // this client requests no binary messages
    this.waiting.push(JSON.parse(data) as Message);
    this.wake?.();
  }
}

/** A WebSocket that fails does not say why. The same path over plain HTTP does: throw its error, unless that asks for a WebSocket. */
async function reasonOf(http: Http, path: string): Promise<void> {
  try {
    await http.parsed({ path });
  } catch (error) {
    if (!(error instanceof Error && "status" in error && error.status === 426)) throw error;
  }
}
