// Compiled, not run: the types of the package, as a program sees them.
import { APIError, type LiveEvent, OpenSpeechClient, type Transcription, type VerboseTranscription } from "@open-speech/client";
import { OpenSpeechClient as BrowserClient } from "@open-speech/client/browser";

const client = new OpenSpeechClient({ baseUrl: "http://localhost:8100", apiKey: "key" });
const audio = new ArrayBuffer(8);

export async function compiles(): Promise<void> {
  const plain: Transcription = await client.transcribe(audio);
  const verbose: VerboseTranscription = await client.transcribe(audio, { responseFormat: "verbose_json", language: "en" });
  const subtitles: string = await client.transcribe(new Blob([audio]), { responseFormat: "srt", maxLineWidth: 42 });
  const spoken: Uint8Array = await client.speak(plain.text + subtitles, { voice: "alloy" });
  const live: AsyncGenerator<LiveEvent> = client.streamTranscribe([spoken], { sampleRate: 24_000 });
  for await (const event of live) if (event.type === "transcript") console.log(event.text.length, verbose.words?.length);
  const session = client.realtimeSession({ transcriptionModel: null });
  session.onTranscript((event) => event.transcript.length).onError((error) => error instanceof APIError && error.param);
  await client.play("Hello.", ["aplay", "-"]);
  await new BrowserClient({}).play("Hello.", async (chunk) => chunk.length);
  // @ts-expect-error: an option that does not exist
  await client.transcribe(audio, { noSuchOption: "en" });
  // @ts-expect-error: a browser has no commands
  await new BrowserClient({}).play("Hello.", ["aplay", "-"]);
}
