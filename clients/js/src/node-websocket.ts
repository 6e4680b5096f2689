/** A WebSocket for Node before version 22, on Node's own HTTP client. Source: RFC 6455; without extensions. */

import { createHash, randomBytes } from "node:crypto";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { request as requestSecurely } from "node:https";
import type { Duplex } from "node:stream";
import { type Frame, FrameParser, frameOf, Opcode } from "./frames.js";
import type { WebSocketLike } from "./socket.js";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const OPEN_MS = 10_000;
/** Milliseconds after which a connection ends whose other side does not answer the closing message. */
const CLOSE_MS = 5_000;
const NO_STATUS = 1005;
const ABNORMAL = 1006;

/** A WebSocket with the interface of browsers, as far as this client uses it. */
export class NodeWebSocket implements WebSocketLike {
  binaryType = "arraybuffer";
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  private readonly parser = new FrameParser();
  private readonly request: ClientRequest;
  private socket: Duplex | null = null;
  private closing = false;
  private closed = false;

  constructor(url: string, protocols: string[] = []) {
    const key = randomBytes(16).toString("base64");
    const address = new URL(url.replace(/^ws/, "http"));
    const headers: Record<string, string> = {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Key": key,
      "Sec-WebSocket-Version": "13",
      ...(protocols.length ? { "Sec-WebSocket-Protocol": protocols.join(", ") } : {}),
    };
    this.request = (address.protocol === "https:" ? requestSecurely : request)(address, { headers, timeout: OPEN_MS });
    this.request.on("upgrade", (response: IncomingMessage, socket: Duplex, head: Uint8Array) => {
      const accept = createHash("sha1").update(key + GUID).digest("base64");
      if (response.headers["sec-websocket-accept"] !== accept) {
        socket.destroy();
        return this.ended(ABNORMAL, "The server's handshake is not valid.", true);
      }
      this.opened(socket, head);
    });
    this.request.on("response", (response: IncomingMessage) => {
      response.resume();
      this.ended(ABNORMAL, `The server answered with the status ${response.statusCode}.`, true);
    });
    this.request.on("timeout", () => {
      if (!this.socket) this.request.destroy();
    });
    this.request.on("error", (error: Error) => this.ended(ABNORMAL, error.message, true));
    this.request.on("close", () => {
      if (!this.socket) this.ended(ABNORMAL, "", true);
    });
    this.request.end();
  }

  /** Bytes that were passed to `send` and have not left yet. */
  get bufferedAmount(): number {
    return this.socket?.writableLength ?? 0;
  }

  send(data: string | ArrayBuffer | ArrayBufferView<ArrayBuffer>): void {
    if (!this.socket || this.closing) return;
    if (typeof data === "string") return this.write(Opcode.TEXT, new TextEncoder().encode(data));
    const isView = ArrayBuffer.isView(data);
    this.write(Opcode.BINARY, isView ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data));
  }

  close(code = 1000, reason = ""): void {
    if (!this.socket) {
      this.request.destroy();
      return;
    }
    if (this.closing) return;
    this.closing = true;
    this.write(Opcode.CLOSE, new Uint8Array([code >> 8, code & 0xff, ...new TextEncoder().encode(reason).slice(0, 123)]));
    const timer = setTimeout(() => this.socket?.destroy(), CLOSE_MS);
    this.socket.on("close", () => clearTimeout(timer));
  }

  private opened(socket: Duplex, head: Uint8Array): void {
    this.socket = socket;
    socket.on("data", (data: Uint8Array) => this.arrived(data));
    socket.on("error", () => undefined); // `close` follows
    socket.on("close", () => this.ended(ABNORMAL, "", false));
    this.onopen?.({ type: "open" } as never);
    if (head.length) this.arrived(head);
  }

  private arrived(data: Uint8Array): void {
    if (this.closed) return;
    try {
      for (const frame of this.parser.feed(data)) this.handle(frame);
    } catch (error) {
      this.socket?.destroy();
      this.ended(1002, (error as Error).message, true);
    }
  }

  private handle({ opcode, data }: Frame): void {
    switch (opcode) {
      case Opcode.TEXT:
        return this.onmessage?.({ type: "message", data: new TextDecoder("utf-8", { fatal: true }).decode(data) } as never);
      case Opcode.BINARY:
        return this.onmessage?.({ type: "message", data: data.slice().buffer } as never);
      case Opcode.PING:
        return this.write(Opcode.PONG, data);
      case Opcode.CLOSE: {
        if (!this.closing) this.write(Opcode.CLOSE, data.subarray(0, 2));
        this.socket?.end();
        const code = data.length >= 2 ? ((data[0] ?? 0) << 8) | (data[1] ?? 0) : NO_STATUS;
        this.ended(code, new TextDecoder().decode(data.subarray(2)), false);
      }
    }
  }

  private write(opcode: Opcode, data: Uint8Array): void {
    if (!this.closed) this.socket?.write(frameOf(opcode, data, randomBytes(4)));
  }

  private ended(code: number, reason: string, isError: boolean): void {
    if (this.closed) return;
    this.closed = true;
    if (isError) this.onerror?.({ type: "error", message: reason } as never);
    this.onclose?.({ type: "close", code, reason, wasClean: !isError } as never);
  }
}
