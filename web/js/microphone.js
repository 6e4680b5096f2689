/** The microphone, as mono samples at 16 kHz, which is what recognisers take, or at another rate. */

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
 * @param {number} [rate] of the samples, in Hertz
 * @param {(stream: MediaStream) => void} [onStream] receives the stream of the microphone before the first samples
 * @returns {Promise<() => void>} stops, and releases the microphone
 */
export async function listen(onSamples, rate = RATE, onStream = () => {}) {
  if (!navigator.mediaDevices) throw new ApiError("Browsers allow the microphone only on pages with https:// or on localhost.");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true } });
  } catch (error) {
    throw new ApiError(REASONS[error.name] ?? `The microphone cannot be opened: ${error.message}`);
  }
  onStream(stream);
  const release = () => stream.getTracks().forEach((track) => track.stop());
  try {
    const stop = await capture(stream, onSamples, rate);
    return () => (release(), stop());
  } catch (error) {
    release();
    throw error;
  }
}

/**
 * Receive the samples of a stream until the returned function is called.
 *
 * @param {MediaStream} stream
 * @param {(samples: Float32Array) => void} onSamples
 * @param {number} rate of the samples, in Hertz
 * @returns {Promise<() => void>}
 */
export async function capture(stream, onSamples, rate) {
  // The context runs at its own rate: Firefox refuses a microphone in a context of another one.
  const context = new AudioContext();
  const stop = () => {
    if (context.state !== "closed") void context.close();
  };
  try {
    await context.audioWorklet.addModule(new URL("./capture-worklet.js", import.meta.url));
    const node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    const resampler = new Resampler(context.sampleRate, rate);
    node.port.onmessage = ({ data }) => onSamples(resampler.feed(data));
    context.createMediaStreamSource(stream).connect(node);
    // Safari starts a context suspended when the question for the permission came between it and the tap.
    void context.resume();
  } catch (error) {
    stop();
    throw error;
  }
  return stop;
}
