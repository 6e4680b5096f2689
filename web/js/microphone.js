/** The microphone, as mono samples at 16 kHz, which is what recognisers take. */

import { ApiError } from "./api.js";
import { Resampler } from "./sound.js";

export const RATE = 16_000;

const REASONS = {
  NotAllowedError: "The browser may not use the microphone. Allow it in the settings of this site and try again.",
  NotFoundError: "No microphone was found.",
  NotReadableError: "The microphone is in use by another program.",
};

/**
 * Listen until the returned function is called.
 *
 * @param {(samples: Float32Array) => void} onSamples
 * @returns {Promise<() => void>} stops, and lets the microphone go
 */
export async function listen(onSamples) {
  if (!navigator.mediaDevices) throw new ApiError("Browsers allow the microphone only on pages with https:// or on localhost.");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true } });
  } catch (error) {
    throw new ApiError(REASONS[error.name] ?? `The microphone cannot be opened: ${error.message}`);
  }
  // The context runs at its own rate: Firefox refuses a microphone in a context of another one.
  const context = new AudioContext();
  const stop = () => {
    stream.getTracks().forEach((track) => track.stop());
    if (context.state !== "closed") void context.close();
  };
  try {
    await context.audioWorklet.addModule(new URL("./capture-worklet.js", import.meta.url));
    const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    const resampler = new Resampler(context.sampleRate, RATE);
    capture.port.onmessage = ({ data }) => onSamples(resampler.feed(data));
    context.createMediaStreamSource(stream).connect(capture);
  } catch (error) {
    stop();
    throw error;
  }
  return stop;
}
