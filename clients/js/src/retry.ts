/** Which failed calls are repeated, and after which delay. */

import { APIError, ConnectionFailed } from "./errors.js";

/** Statuses after which the same request may succeed. */
const REPEATED = new Set([408, 429, 502, 503, 504]);

export interface Retry {
  /** Maximum number of attempts, the first included; 1 disables repetition. */
  attempts: number;
  /** Delay in milliseconds before the second attempt; each further delay is twice as long. */
  firstMs: number;
  /** Maximum delay in milliseconds. If the server's `Retry-After` is longer, the error is thrown at once. */
  longestMs: number;
}

export const DEFAULT_RETRY: Retry = { attempts: 3, firstMs: 500, longestMs: 20_000 };

/** Return the delay in milliseconds after so many failures: at least that of the server, with up to a quarter added at random. */
export function delayMs(retry: Retry, failures: number, retryAfter: number | null = null): number {
  const backoff = Math.min(retry.longestMs, retry.firstMs * 2 ** (failures - 1));
  return Math.max(backoff, (retryAfter ?? 0) * 1000) * (1 + Math.random() / 4);
}

/** Return whether the same request may succeed later. */
export function isTemporary(error: unknown): boolean {
  if (error instanceof APIError) return error.status !== null && REPEATED.has(error.status);
  return error instanceof ConnectionFailed;
}

/** The attempts of one call. */
export class Attempts {
  private failures = 0;

  /** `repeatable`: the call has the same effect when it is sent twice. */
  constructor(
    private readonly retry: Retry,
    private readonly repeatable: boolean,
  ) {}

  /** Count anew: the call made progress, as a stream does that delivered an event. */
  succeeded(): void {
    this.failures = 0;
  }

  /** Wait before the next attempt. Throws the error if there is none. */
  async after(error: unknown): Promise<void> {
    this.failures += 1;
    const retryAfter = error instanceof APIError ? error.retryAfter : null;
    const isLast = this.failures >= this.retry.attempts || (retryAfter ?? 0) * 1000 > this.retry.longestMs;
    if (!this.repeatable || isLast || !isTemporary(error)) throw error;
    await sleep(delayMs(this.retry, this.failures, retryAfter));
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
