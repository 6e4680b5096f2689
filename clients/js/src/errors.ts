/** The errors of the client. Those that the server returned have its status, type, code, parameter and request id. */

/** Base class of every error that this client throws itself. */
export class OpenSpeechError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The server cannot be reached, or the connection ended before the response did. */
export class ConnectionFailed extends OpenSpeechError {}

/** The server did not respond within the timeout. */
export class TimedOut extends ConnectionFailed {}

/** The server does not support what was requested; a newer version of it does. */
export class ServerTooOld extends OpenSpeechError {}

/** The player's command cannot be started, or ended before the speech did. */
export class PlayerFailed extends OpenSpeechError {}

export interface APIErrorFields {
  /** HTTP status; null for an error within a stream. */
  status: number | null;
  type: string | null;
  code: string | null;
  /** The field of the request that is wrong. */
  param: string | null;
  requestId: string | null;
  /** Seconds after which the server suggests to try again. */
  retryAfter: number | null;
}

/** An error that the server returned, in a response, an event or a message of a WebSocket. */
export class APIError extends OpenSpeechError implements APIErrorFields {
  readonly status: number | null;
  readonly type: string | null;
  readonly code: string | null;
  readonly param: string | null;
  readonly requestId: string | null;
  readonly retryAfter: number | null;

  constructor(message: string, fields: APIErrorFields) {
    super(message);
    this.status = fields.status;
    this.type = fields.type;
    this.code = fields.code;
    this.param = fields.param;
    this.requestId = fields.requestId;
    this.retryAfter = fields.retryAfter;
  }

  /** Whether the same request fails again: it is invalid, or not allowed. */
  get isInvalidRequest(): boolean {
    if (this.status === null) return this.type === "invalid_request_error";
    return this.status >= 400 && this.status < 500 && this.status !== 408 && this.status !== 429;
  }
}

/** The request is invalid (400, 413, 422 and others between 400 and 499). */
export class InvalidRequest extends APIError {}
/** The API key is missing or wrong (401). */
export class Unauthorized extends APIError {}
/** The server does not allow the request (403). */
export class Forbidden extends APIError {}
/** No model, voice or job with this name exists (404). */
export class NotFound extends APIError {}
/** The state of the job or model does not allow the request (409). */
export class Conflict extends APIError {}
/** The server is overloaded, or a limit is exceeded (429); `retryAfter` says when to try again. */
export class TooManyRequests extends APIError {}
/** The server could not process a valid request (500 to 599). */
export class ServerFailed extends APIError {}

const CLASSES = new Map([[401, Unauthorized], [403, Forbidden], [404, NotFound], [409, Conflict], [429, TooManyRequests]]);

/** Return the error of an HTTP response. A body in another form is the message. */
export function errorOfResponse(status: number, headers: Headers, body: string): APIError {
  const detail = detailOf(parsed(body));
  const Class = CLASSES.get(status) ?? (status >= 500 ? ServerFailed : InvalidRequest);
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  return new Class(text(detail["message"]) || body.slice(0, 500) || `The server returned the status ${status}.`, {
    ...fieldsOf(detail),
    status,
    requestId: headers.get("x-request-id"),
    retryAfter: Number.isFinite(seconds) && seconds >= 0 ? seconds : null,
  });
}

/** Return the error in an event or a message: `{"error": {message, type, param, code}}`. */
export function errorOfEvent(event: unknown): APIError {
  const detail = detailOf(event);
  const Class = detail["type"] === "invalid_request_error" ? InvalidRequest : ServerFailed;
  return new Class(text(detail["message"]) || "The server reported an error without a message.", {
    ...fieldsOf(detail),
    status: null,
    requestId: null,
    retryAfter: null,
  });
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}

function detailOf(value: unknown): Record<string, unknown> {
  const detail = typeof value === "object" && value !== null ? (value as Record<string, unknown>)["error"] : null;
  return typeof detail === "object" && detail !== null ? (detail as Record<string, unknown>) : {};
}

function fieldsOf(detail: Record<string, unknown>): Pick<APIErrorFields, "type" | "code" | "param"> {
  return { type: text(detail["type"]), code: text(detail["code"]), param: text(detail["param"]) };
}

function text(value: unknown): string | null {
  return value === undefined || value === null ? null : String(value);
}
