/** Reads an OpenAPI document: endpoints by group, fields of a body, a command to try. Pure. */

const VERBS = ["get", "post", "put", "patch", "delete"];
/** How deep objects in objects are unfolded. */
const DEEPEST = 4;

/** @typedef {{verb: string, path: string, id: string, group: string, title: string, text: string, parameters: Field[],
 *   bodies: {type: string, fields: Field[]}[], answers: {status: string, text: string, type: string, fields: Field[]}[]}} Endpoint */
/** @typedef {{name: string, type: string, required: boolean, text: string, depth: number, at?: string}} Field */

/**
 * @param {any} document
 * @returns {Endpoint[]} in the document's order
 */
export function endpoints(document) {
  return Object.entries(document.paths ?? {}).flatMap(([path, verbs]) =>
    VERBS.filter((verb) => verbs[verb]).map((verb) => endpoint(document, path, verb, verbs[verb])),
  );
}

function endpoint(document, path, verb, about) {
  const [title, ...rest] = (about.description ?? about.summary ?? "").split("\n\n");
  return {
    verb: verb.toUpperCase(),
    path,
    id: `${verb}-${path.replace(/[^\w]+/g, "-").replace(/^-|-$/g, "")}`,
    group: about.tags?.[0] ?? "other",
    title,
    text: rest.join("\n\n"),
    parameters: (about.parameters ?? []).map((parameter) => ({
      name: parameter.name,
      type: typeOf(document, parameter.schema ?? {}),
      required: Boolean(parameter.required),
      text: note(parameter.schema ?? {}, parameter.description),
      depth: 0,
      at: parameter.in,
    })),
    bodies: Object.entries(about.requestBody?.content ?? {}).map(([type, { schema }]) => ({
      type,
      fields: fields(document, schema ?? {}),
    })),
    answers: Object.entries(about.responses ?? {}).flatMap(([status, answer]) => {
      const kinds = Object.entries(answer.content ?? { "": {} });
      return kinds.map(([type, { schema }]) => ({ status, text: answer.description ?? "", type, fields: fields(document, schema ?? {}) }));
    }),
  };
}

/** Follow a reference into the document. */
export function resolve(document, schema) {
  for (let hops = 0; schema?.$ref && hops < 16; hops++) {
    schema = schema.$ref
      .replace(/^#\//, "")
      .split("/")
      .reduce((at, name) => at?.[name.replaceAll("~1", "/").replaceAll("~0", "~")], document);
  }
  return schema ?? {};
}

/**
 * The fields of an object, those of objects in it after it and one deeper.
 *
 * @param {any} document
 * @param {any} schema
 * @param {number} [depth]
 * @returns {Field[]}
 */
export function fields(document, schema, depth = 0) {
  const object = objectIn(document, schema);
  if (!object?.properties || depth > DEEPEST) return [];
  return Object.entries(object.properties).flatMap(([name, of]) => [
    {
      name,
      type: typeOf(document, of),
      required: Boolean(object.required?.includes(name)),
      text: note(of, resolve(document, of).description),
      depth,
    },
    ...fields(document, of, depth + 1),
  ]);
}

/** The object that a schema is, or that its list or one of its choices holds. */
function objectIn(document, schema) {
  const known = resolve(document, schema);
  if (known.properties) return known;
  if (known.items) return objectIn(document, known.items);
  const choices = known.anyOf ?? known.oneOf ?? known.allOf ?? [];
  return choices.map((choice) => objectIn(document, choice)).find(Boolean) ?? null;
}

/**
 * Name a type as a reader would.
 *
 * @param {any} document
 * @param {any} schema
 * @returns {string}
 */
export function typeOf(document, schema) {
  const known = resolve(document, schema);
  if (known.const !== undefined) return JSON.stringify(known.const);
  if (known.enum) return known.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = known.anyOf ?? known.oneOf;
  if (choices)
    return [...new Set(choices.map((choice) => typeOf(document, choice)))].filter((type) => type !== "null").join(" | ") || "null";
  if (known.allOf?.length === 1) return typeOf(document, known.allOf[0]);
  if (known.type === "array" || known.prefixItems) return `list of ${typeOf(document, known.items ?? {})}`;
  if (known.format === "binary") return "file";
  return known.type ?? "any";
}

/** What else is known of a value: its default, its range. */
function note(schema, description) {
  const told = [schema.description ?? description ?? ""];
  const range = [schema, ...(schema.anyOf ?? [])].find(
    (one) => one.minimum !== undefined || one.maximum !== undefined || one.exclusiveMinimum !== undefined,
  );
  if (range)
    told.push(
      `${range.minimum ?? (range.exclusiveMinimum !== undefined ? `more than ${range.exclusiveMinimum}` : "…")} to ${range.maximum ?? range.exclusiveMaximum ?? "…"}.`,
    );
  if (schema.default !== undefined && schema.default !== null && String(schema.default) !== "")
    told.push(`Default: ${JSON.stringify(schema.default)}.`);
  return told.filter(Boolean).join(" ");
}

/** Values to try an endpoint with; what is not here is shown as its name. */
const SAMPLES = {
  model: { speech: "tts-1", listen: "whisper-1" },
  voice: { speech: "alloy" },
  input: { speech: "Hello there." },
  response_format: { speech: "mp3" },
};

/**
 * A command that asks an endpoint.
 *
 * @param {Endpoint} endpoint
 * @param {string} root of the server, with its slash
 * @returns {string}
 */
export function curl(endpoint, root) {
  const address = `${root.replace(/\/$/, "")}${endpoint.path}`;
  const query = endpoint.parameters.filter(({ at, required }) => at === "query" && required).map(({ name }) => `${name}=…`);
  const lines = [`curl ${quoted(address + (query.length ? `?${query.join("&")}` : ""))}`];
  if (endpoint.verb !== "GET" && !(endpoint.verb === "POST" && endpoint.bodies.length)) lines.push(`-X ${endpoint.verb}`);
  lines.push('-H "Authorization: Bearer $OS_API_KEY"');
  const form = endpoint.bodies.find(({ type }) => type === "multipart/form-data");
  const body = form ?? endpoint.bodies[0];
  const needed = (body?.fields ?? []).filter(({ required, depth }) => required && depth === 0);
  const value = (name) => SAMPLES[name]?.[endpoint.path.includes("speech") ? "speech" : "listen"] ?? `<${name}>`;
  if (form) {
    for (const { name, type } of needed)
      lines.push(`-F ${quoted(type.includes("file") ? `${name}=@speech.wav` : `${name}=${value(name)}`)}`);
  } else if (body) {
    lines.push(
      '-H "Content-Type: application/json"',
      `-d ${quoted(JSON.stringify(Object.fromEntries(needed.map(({ name }) => [name, value(name)]))))}`,
    );
  }
  return lines.join(" \\\n  ");
}

/** @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
