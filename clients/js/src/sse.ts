/** Server-sent events: bytes in, events out. */

import type { ServerEvent } from "./bodies.js";
import { errorOfEvent } from "./errors.js";

/** Parses the events of one response: JSON objects in lines that begin with `data:`. */
export class EventParser {
  private readonly decoder = new TextDecoder();
  private rest = "";

  /** Take the next bytes; return the complete events. Throws APIError for an event that reports an error. */
  feed(data: Uint8Array): ServerEvent[] {
    const lines = (this.rest + this.decoder.decode(data, { stream: true })).split("\n");
    this.rest = lines.pop() ?? "";
    const events = lines
      .filter((line) => line.startsWith("data:") && line.slice(5).trim() !== "[DONE]")
      .map((line) => JSON.parse(line.slice(5)) as ServerEvent);
    const failed = events.find((event) => "error" in event && !("type" in event) && !("id" in event));
    if (failed) throw errorOfEvent(failed);
    return events;
  }
}
