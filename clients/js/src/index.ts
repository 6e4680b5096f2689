/** Client of an Open Speech server, for browsers and every environment with a global WebSocket. */

export * from "./bodies.js";
export * from "./errors.js";
export type * from "./options.js";
export { type ClientOptions, OpenSpeechClient, type Player } from "./client.js";
export { RealtimeSession, type TranscriptionCompleted } from "./realtime.js";
export type { ProgressOptions } from "./resources.js";
export type { Retry } from "./retry.js";
export type { WebSocketClass, WebSocketLike } from "./socket.js";
