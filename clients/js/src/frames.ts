/** The frames of a WebSocket: bytes in, messages out, and back. Source: RFC 6455, section 5. */

export enum Opcode {
  CONTINUATION = 0,
  TEXT = 1,
  BINARY = 2,
  CLOSE = 8,
  PING = 9,
  PONG = 10,
}

/** A whole message, or a control frame. */
export interface Frame {
  opcode: Opcode;
  data: Uint8Array;
}

/** Maximum bytes of one message. */
const LONGEST = 32 << 20;

/** Encode one frame, masked, as every frame of a client is. `mask` has 4 bytes. */
export function frameOf(opcode: Opcode, data: Uint8Array, mask: Uint8Array): Uint8Array {
  const extended = data.length < 126 ? 0 : data.length < 0x10000 ? 2 : 8;
  const frame = new Uint8Array(6 + extended + data.length);
  const view = new DataView(frame.buffer);
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (extended === 0 ? data.length : extended === 2 ? 126 : 127);
  if (extended === 2) view.setUint16(2, data.length);
  if (extended === 8) view.setBigUint64(2, BigInt(data.length));
  frame.set(mask, 2 + extended);
  const start = 6 + extended;
  for (let index = 0; index < data.length; index += 1) frame[start + index] = (data[index] ?? 0) ^ (mask[index & 3] ?? 0);
  return frame;
}

/** Parses what a server sends. */
export class FrameParser {
  private rest: Uint8Array[] = [];
  private size = 0;
  /** Bytes that are needed before anything can be parsed. */
  private needed = 2;
  private parts: Uint8Array[] = [];
  private opcode = Opcode.CONTINUATION;

  /** Take the next bytes; return the complete messages. Throws Error for frames that are not valid. */
  feed(data: Uint8Array): Frame[] {
    this.rest.push(data);
    this.size += data.length;
    const frames: Frame[] = [];
    while (this.size >= this.needed) {
      const all = joined(this.rest, this.size);
      const used = this.parse(all, frames);
      this.rest = [all.subarray(used)];
      this.size = all.length - used;
      if (!used) break;
      this.needed = 2;
    }
    return frames;
  }

  /** Parse one frame; return the bytes that it took, or 0 if it is not complete: `needed` then says how many are. */
  private parse(all: Uint8Array, frames: Frame[]): number {
    const [first = 0, second = 0] = all;
    if (first & 0x70 || second & 0x80) throw new Error("The server sent a frame that is not valid.");
    const short = second & 0x7f;
    const header = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (all.length < header) return this.waitFor(header);
    const view = new DataView(all.buffer, all.byteOffset, all.byteLength);
    const length = header === 2 ? short : header === 4 ? view.getUint16(2) : Number(view.getBigUint64(2));
    if (length > LONGEST) throw new Error("The server sent a message that is too long.");
    if (all.length < header + length) return this.waitFor(header + length);
    this.take(first & 0x0f, Boolean(first & 0x80), all.slice(header, header + length), frames);
    return header + length;
  }

  private waitFor(bytes: number): number {
    this.needed = bytes;
    return 0;
  }

  private take(opcode: Opcode, isLast: boolean, data: Uint8Array, frames: Frame[]): void {
    if (opcode >= Opcode.CLOSE) {
      frames.push({ opcode, data });
      return;
    }
    if ((opcode === Opcode.CONTINUATION) !== this.parts.length > 0) throw new Error("The server sent a message within another one.");
    if (opcode !== Opcode.CONTINUATION) this.opcode = opcode;
    this.parts.push(data);
    const size = this.parts.reduce((sum, part) => sum + part.length, 0);
    if (size > LONGEST) throw new Error("The server sent a message that is too long.");
    if (!isLast) return;
    frames.push({ opcode: this.opcode, data: joined(this.parts, size) });
    this.parts = [];
  }
}

function joined(parts: readonly Uint8Array[], size: number): Uint8Array {
  if (parts.length === 1 && parts[0]) return parts[0];
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
