/** The parts of Node's modules that this package uses: with these, it needs no package of types. */

declare module "node:events" {
  export interface Emitter {
    // biome-ignore lint/suspicious/noExplicitAny: the arguments of an event differ
    on(event: string, listener: (...args: any[]) => void): this;
  }
  export function once(emitter: Emitter, event: string): Promise<unknown[]>;
}

declare module "node:stream" {
  import type { Emitter } from "node:events";
  export interface Duplex extends Emitter {
    readonly writableLength: number;
    write(data: Uint8Array): boolean;
    end(): void;
    destroy(): void;
  }
}

declare module "node:child_process" {
  import type { Emitter } from "node:events";
  import type { Duplex } from "node:stream";
  export interface ChildProcess extends Emitter {
    readonly stdin: Duplex;
    kill(): boolean;
  }
  export function spawn(command: string, args: string[], options: { stdio: ["pipe", "inherit", "inherit"] }): ChildProcess;
}

declare module "node:http" {
  import type { Emitter } from "node:events";
  export interface IncomingMessage extends Emitter {
    readonly statusCode: number;
    readonly headers: Record<string, string | undefined>;
    resume(): void;
  }
  export interface ClientRequest extends Emitter {
    end(): void;
    destroy(): void;
  }
  export function request(url: URL, options: { headers: Record<string, string>; timeout: number }): ClientRequest;
}

declare module "node:https" {
  export { request } from "node:http";
}

declare module "node:crypto" {
  export function randomBytes(size: number): Uint8Array & { toString(encoding: "base64"): string };
  export function createHash(name: "sha1"): { update(data: string): { digest(encoding: "base64"): string } };
}
