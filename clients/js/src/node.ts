/** The client for Node: Node 20 has no global WebSocket, so this package brings one. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { type ClientOptions, OpenSpeechClient as AnyClient, type Player } from "./client.js";
import { PlayerFailed } from "./errors.js";
import { NodeWebSocket } from "./node-websocket.js";
import type { SpeechOptions } from "./options.js";

export * from "./bodies.js";
export * from "./errors.js";
export type * from "./options.js";
export type { ClientOptions, Player } from "./client.js";
export { NodeWebSocket } from "./node-websocket.js";
export { RealtimeSession, type TranscriptionCompleted } from "./realtime.js";
export type { ProgressOptions } from "./resources.js";
export type { Retry } from "./retry.js";
export type { WebSocketClass, WebSocketLike } from "./socket.js";

export class OpenSpeechClient extends AnyClient {
  constructor(options: ClientOptions = {}) {
    super({ ...options, WebSocket: options.WebSocket ?? NodeWebSocket });
  }

  /** Synthesize a text and play it meanwhile: through a function, or through the standard input of a command. */
  override async play(text: string, player: Player | readonly [string, ...string[]], options: SpeechOptions = {}): Promise<void> {
    if (typeof player === "function") return super.play(text, player, options);
    const [command, ...args] = player;
    const child = spawn(command, args, { stdio: ["pipe", "inherit", "inherit"] });
    let status: number | string | null = null;
    const ended = new Promise<void>((resolve) => {
      child.on("error", (error: Error) => resolve(void (status = error.message)));
      child.on("close", (code: number | null) => resolve(void (status ??= code ?? "killed")));
    });
    child.stdin.on("error", () => undefined); // a command that ends early closes its input; its status says why
    try {
      for await (const chunk of this.speakStream(text, options)) {
        if (status !== null) break;
        if (!child.stdin.write(chunk)) await Promise.race([once(child.stdin, "drain").catch(() => undefined), ended]);
      }
      child.stdin.end();
    } catch (error) {
      child.kill();
      throw error;
    }
    await ended;
    if (status !== 0) throw new PlayerFailed(`The command \`${command}\` ended with: ${status}.`);
  }
}
