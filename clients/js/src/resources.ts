/** Models and jobs of a server: `client.models` and `client.jobs`. */

import type { DeletedModel, Job, JobOutput, Model } from "./bodies.js";
import { ConnectionFailed } from "./errors.js";
import type { Http } from "./http.js";
import {
  type CallOptions,
  fieldsOf,
  formOf,
  type JobFilters,
  type Media,
  type SpeechJobOptions,
  speechFields,
  type TranscriptFormat,
  type TranscriptionJobOptions,
} from "./options.js";
import { Attempts } from "./retry.js";

const MODELS = "/api/models";
const JOBS = "/v1/audio/jobs";
const ENDED = new Set(["completed", "failed", "cancelled"]);

export interface ProgressOptions<T> extends CallOptions {
  /** Receives each change of the state. */
  onProgress?: (state: T) => void;
}

/** The models of a server. A model is named by its id or by one of OpenAI's names. */
export class Models {
  constructor(private readonly http: Http) {}

  /** Return the state of every model. */
  async list(options: CallOptions = {}): Promise<Model[]> {
    return ((await this.http.parsed({ path: MODELS, signal: options.signal })) as { models: Model[] }).models;
  }

  /** Return the state of one model. */
  async get(model: string, options: CallOptions = {}): Promise<Model> {
    return (await this.http.parsed({ path: pathOf(model), signal: options.signal })) as Model;
  }

  /** Load a model, downloading its files first if they are missing, and wait for it. */
  load(model: string, options: ProgressOptions<Model> = {}): Promise<Model> {
    return this.follow(model, "load", options);
  }

  /** Download the files of a model and wait for them: see `Model.progress`. */
  pull(model: string, options: ProgressOptions<Model> = {}): Promise<Model> {
    return this.follow(model, "download", options);
  }

  /** Unload a model after the requests that use it have finished. */
  async unload(model: string, options: CallOptions = {}): Promise<Model> {
    return (await this.http.parsed({ method: "POST", path: `${pathOf(model)}/unload`, signal: options.signal })) as Model;
  }

  /** Unload a model and delete its files. */
  async delete(model: string, options: CallOptions = {}): Promise<DeletedModel> {
    return (await this.http.parsed({ method: "DELETE", path: `${pathOf(model)}/artifacts`, signal: options.signal })) as DeletedModel;
  }

  private async follow(model: string, action: string, options: ProgressOptions<Model>): Promise<Model> {
    const call = { method: "POST", path: `${pathOf(model)}/${action}`, query: { stream: "true" }, signal: options.signal } as const;
    let state: Model | null = null;
    for await (const event of this.http.events(call)) {
      state = event as unknown as Model;
      options.onProgress?.(state);
    }
    if (state === null) throw new ConnectionFailed("The server sent no state.");
    return state;
  }
}

/** The jobs of a server. */
export class Jobs {
  constructor(private readonly http: Http) {}

  /** Submit a file to transcribe, or with `type: "translation"` to translate. */
  async submit(media: Media, options: TranscriptionJobOptions = {}): Promise<Job> {
    return (await this.created(options, formOf(jobFields(options), [media]))) as Job;
  }

  /** Submit several files, one job each, in one request: either all are accepted or none. */
  async submitFiles(media: readonly Media[], options: TranscriptionJobOptions = {}): Promise<Job[]> {
    return jobsOf(await this.created(options, formOf(jobFields(options), media)));
  }

  /** Submit a text to speak, of up to a million characters. */
  async submitSpeech(text: string, options: SpeechJobOptions = {}): Promise<Job> {
    const { idempotencyKey: _, ...rest } = options;
    return (await this.created(options, { type: "speech", ...speechFields(text, rest) })) as Job;
  }

  /** Return jobs, newest first. */
  async list(filters: JobFilters = {}): Promise<Job[]> {
    const query = Object.fromEntries(Object.entries(fieldsOf(filters)).map(([name, value]) => [name, String(value)]));
    return jobsOf(await this.http.parsed({ path: JOBS, query, signal: filters.signal }));
  }

  /** Return the state of a job. */
  async get(id: string, options: CallOptions = {}): Promise<Job> {
    return (await this.http.parsed({ path: jobPath(id), signal: options.signal })) as Job;
  }

  /** Yield the state of a job, now and at every change, until it has ended. A lost connection is opened again. */
  async *follow(id: string, options: CallOptions = {}): AsyncGenerator<Job, void, undefined> {
    const attempts = new Attempts(this.http.endpoint.retry, true);
    for (;;) {
      try {
        for await (const event of this.http.events({ path: `${jobPath(id)}/events`, signal: options.signal })) {
          attempts.succeeded();
          const job = event["data"] as Job;
          yield job;
          if (ENDED.has(job.status)) return;
        }
        throw new ConnectionFailed("The events of the job ended before the job did.");
      } catch (error) {
        await attempts.after(error);
      }
    }
  }

  /** Wait until a job has ended and return it; its `status` and `error` say how. */
  async wait(id: string, options: ProgressOptions<Job> = {}): Promise<Job> {
    let state: Job | null = null;
    for await (state of this.follow(id, options)) options.onProgress?.(state);
    if (state === null) throw new ConnectionFailed("The server sent no state.");
    return state;
  }

  /** Return the result: an object, text or audio. Throws the job's error if it failed, and Conflict before its end. */
  async result(id: string, options: CallOptions & { responseFormat?: TranscriptFormat } = {}): Promise<JobOutput> {
    const query: Record<string, string> = options.responseFormat ? { response_format: options.responseFormat } : {};
    return (await this.http.parsed({ path: `${jobPath(id)}/result`, query, signal: options.signal })) as JobOutput;
  }

  /** Cancel a job. */
  async cancel(id: string, options: CallOptions = {}): Promise<Job> {
    return (await this.http.parsed({ method: "POST", path: `${jobPath(id)}/cancel`, repeatable: false, signal: options.signal })) as Job;
  }

  /** Delete a job with its file and its result. */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.http.parsed({ method: "DELETE", path: jobPath(id), repeatable: false, signal: options.signal });
  }

  /** Submit; the key makes sure that a repeated request creates no second job. */
  private created(options: { idempotencyKey?: string; signal?: AbortSignal }, body: object): Promise<unknown> {
    const key = options.idempotencyKey ?? uniqueKey();
    return this.http.parsed({ method: "POST", path: JOBS, body, headers: { "Idempotency-Key": key }, signal: options.signal });
  }
}

/** `crypto.randomUUID` is missing on pages without HTTPS; random values are not. */
function uniqueKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (value) => value.toString(16).padStart(2, "0")).join("");
}

function jobFields(options: TranscriptionJobOptions): Record<string, unknown> {
  const { idempotencyKey: _, ...rest } = options;
  return fieldsOf({ model: "whisper-1", ...rest });
}

function jobsOf(body: unknown): Job[] {
  const list = body as { object: string; data: Job[] };
  return list.object === "list" ? list.data : [body as Job];
}

function pathOf(model: string): string {
  return `${MODELS}/${encodeURIComponent(model).replaceAll("%2F", "/")}`;
}

function jobPath(id: string): string {
  return `${JOBS}/${encodeURIComponent(id)}`;
}
