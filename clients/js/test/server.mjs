/** The server of the tests, and a relay in front of it whose connections a test can cut. */

import net from "node:net";
import { OpenSpeechClient } from "@open-speech/client";

export const URL_ = process.env.OPEN_SPEECH_TEST_URL;
export const KEY = process.env.OPEN_SPEECH_TEST_KEY;
export const SENTENCE = "Hello there world.";
/** Why the tests that need a server are skipped; false if there is one. */
export const skip = URL_ ? false : "OPEN_SPEECH_TEST_URL is not set";

export function clientOf(baseUrl = URL_, options = {}) {
  return new OpenSpeechClient({ baseUrl, apiKey: KEY, ...options });
}

/** Passes connections on to the server, until they are cut or refused. */
export class Relay {
  connections = 0;
  refuses = false;
  open = new Set();

  static async start(t) {
    const relay = new Relay();
    t.after(() => relay.close()); // an open server would keep the process of a failed test running
    const { hostname, port } = new URL(URL_);
    relay.server = net.createServer((near) => {
      relay.connections += 1;
      if (relay.refuses) return near.destroy();
      const far = net.connect(Number(port), hostname);
      for (const [one, other] of [[near, far], [far, near]]) {
        relay.open.add(one);
        one.on("error", () => undefined);
        one.on("close", () => (relay.open.delete(one), other.destroy()));
        one.pipe(other);
      }
    });
    await new Promise((resolve) => relay.server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  cut() {
    for (const socket of this.open) socket.destroy();
  }

  close() {
    this.cut();
    this.server.close();
  }
}

/** Wait until something is true; the runner's timeout ends the test otherwise. */
export async function until(isTrue) {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 10));
}
