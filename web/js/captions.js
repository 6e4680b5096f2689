/** Segments with times -> the files people take home. Pure. Times are in seconds. */

/** @typedef {{start: number, end: number, text: string, speaker?: string, words?: {word: string, start: number, end: number}[]}} Segment */
/** @typedef {{text: string, language?: string, duration?: number, segments: Segment[]}} Transcript */

/**
 * @param {number} seconds
 * @param {string} point
 */
export function stamp(seconds, point) {
  const ms = Math.max(0, Math.round(seconds * 1000));
  const two = (n) => String(n).padStart(2, "0");
  const time = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, Math.floor(ms / 1000) % 60].map(two).join(":");
  return `${time}${point}${String(ms % 1000).padStart(3, "0")}`;
}

const spoken = (transcript) => transcript.segments.filter((segment) => segment.text.trim());
/** A blank line would end the cue. */
const oneParagraph = (text) => text.trim().replace(/\n\s*\n/g, "\n");

/** @type {Record<"txt" | "srt" | "vtt" | "json", (transcript: Transcript) => string>} */
export const WRITERS = {
  txt(transcript) {
    const segments = spoken(transcript);
    if (!segments.some((segment) => segment.speaker)) return `${transcript.text.trim()}\n`;
    return segments.map(({ speaker, text }) => `${speaker ? `${speaker}: ` : ""}${text.trim()}`).join("\n") + "\n";
  },
  srt(transcript) {
    const cues = spoken(transcript).map(({ start, end, text, speaker }, index) =>
      [index + 1, `${stamp(start, ",")} --> ${stamp(end, ",")}`, (speaker ? `${speaker}: ` : "") + oneParagraph(text)].join("\n"),
    );
    return cues.map((cue) => `${cue}\n`).join("\n");
  },
  vtt(transcript) {
    const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
    const cues = spoken(transcript).map(({ start, end, text, speaker }) => {
      const voice = speaker ? `<v ${escape(speaker)}>` : "";
      return `${stamp(start, ".")} --> ${stamp(end, ".")}\n${voice}${escape(oneParagraph(text))}\n`;
    });
    return ["WEBVTT\n", ...cues].join("\n");
  },
  json: (transcript) => `${JSON.stringify(transcript, null, 2)}\n`,
};

export const MEDIA = { txt: "text/plain", srt: "application/x-subrip", vtt: "text/vtt", json: "application/json" };
