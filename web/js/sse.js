/** Server-sent events, from text that comes in pieces cut anywhere. Pure. */

export class EventReader {
  #rest = "";
  /** @type {string[]} */
  #data = [];

  /**
   * Read one more piece.
   *
   * @param {string} text
   * @returns {string[]} the data of each event that is complete; comments and other fields are dropped
   */
  feed(text) {
    // A carriage return at the very end may be the first half of a line break.
    const whole = this.#rest + text;
    const held = whole.endsWith("\r") ? "\r" : "";
    const lines = whole.slice(0, whole.length - held.length).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() + held;
    return lines.flatMap((line) => this.#line(line));
  }

  /** @param {string} line */
  #line(line) {
    if (line === "") {
      const event = this.#data.splice(0);
      return event.length ? [event.join("\n")] : [];
    }
    const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    if (field === "data") this.#data.push(value ?? "");
    return [];
  }
}
