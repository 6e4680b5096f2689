/** What a Realtime session still owes: transcripts of committed audio, and responses. */

import type { ServerEvent } from "./bodies.js";

export class PendingWork {
  /** Ids of commit and response events that the server has not answered. */
  private commits: unknown[] = [];
  private requests: unknown[] = [];
  /** Turns that the server ended by itself and has not committed yet. */
  private turns = 0;
  private readonly items = new Set<unknown>();
  private readonly responses = new Set<unknown>();
  private transcribes = true;

  /** Whether anything is still pending. */
  get isOpen(): boolean {
    return this.commits.length + this.requests.length + this.turns + this.items.size + this.responses.size > 0;
  }

  /** Take an event that is sent to the server. */
  sent(event: { type: string; event_id: string }): void {
    if (event.type === "input_audio_buffer.commit") this.commits.push(event.event_id);
    if (event.type === "response.create") this.requests.push(event.event_id);
  }

  /** Take an event of the server. */
  received(event: ServerEvent): void {
    const response = event["response"] as { id: string } | undefined;
    switch (event.type) {
      case "session.updated": {
        const session = event["session"] as { audio?: { input?: { transcription?: unknown } } };
        this.transcribes = Boolean(session.audio?.input?.transcription);
        break;
      }
      case "input_audio_buffer.speech_stopped":
        this.turns += 1;
        break;
      case "input_audio_buffer.committed":
        if (this.turns) this.turns -= 1;
        else this.commits.shift();
        if (this.transcribes) this.items.add(event["item_id"]);
        break;
      case "conversation.item.input_audio_transcription.completed":
      case "conversation.item.input_audio_transcription.failed":
        this.items.delete(event["item_id"]);
        break;
      case "response.created":
        this.requests.shift();
        this.responses.add(response?.id);
        break;
      case "response.done":
        this.responses.delete(response?.id);
        break;
      case "error": {
        const refused = (event["error"] as { event_id?: unknown } | undefined)?.event_id;
        this.commits = this.commits.filter((id) => id !== refused);
        this.requests = this.requests.filter((id) => id !== refused);
      }
    }
  }
}
