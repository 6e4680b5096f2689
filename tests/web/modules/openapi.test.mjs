import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { curl, endpoints, fields, resolve, typeOf } from "../../../web/js/openapi.js";

const SMALL = {
  components: {
    schemas: {
      Node: { type: "object", required: ["name"], properties: { name: { type: "string" }, next: { $ref: "#/components/schemas/Node" } } },
    },
  },
};
const node = { $ref: "#/components/schemas/Node" };

/** The server's own document, which test_modules.py writes. */
const own = JSON.parse(readFileSync(process.env.OPENAPI, "utf8"));

test("a type that holds itself is unfolded only so far", () => {
  const depths = fields(SMALL, node).map(({ depth }) => depth);
  assert.ok(Math.max(...depths) <= 4);
  assert.deepEqual(
    fields(SMALL, node)
      .slice(0, 2)
      .map(({ name, required }) => [name, required]),
    [
      ["name", true],
      ["next", false],
    ],
  );
});

test("a reference that leads nowhere, or in a circle, is nothing", () => {
  assert.deepEqual(resolve({}, { $ref: "#/nowhere/at/all" }), {});
  const circle = { a: { $ref: "#/a" } };
  assert.deepEqual(fields(circle, { $ref: "#/a" }), []);
});

test("types are named as a reader would", () => {
  const name = (schema) => typeOf(SMALL, schema);
  assert.equal(name({ anyOf: [{ type: "string" }, { type: "null" }] }), "string");
  assert.equal(name({ enum: ["a", "b"] }), '"a" | "b"');
  assert.equal(name({ type: "array", items: node }), "list of object");
  assert.equal(name({ type: "string", format: "binary" }), "file");
  assert.equal(name({}), "any");
});

test("every endpoint of the server is told, each with a title and an address of its own", () => {
  const told = endpoints(own);
  assert.equal(told.length, Object.values(own.paths).flatMap(Object.keys).length);
  assert.equal(new Set(told.map(({ id }) => id)).size, told.length);
  assert.deepEqual(
    told.filter(({ title }) => !title).map(({ path }) => path),
    [],
  );
});

test("commands can be run as they are", () => {
  const of = (verb, path) =>
    curl(
      endpoints(own).find((one) => one.verb === verb && one.path === path),
      "http://127.0.0.1:8100/",
    );
  assert.equal(
    of("POST", "/v1/audio/speech"),
    `curl 'http://127.0.0.1:8100/v1/audio/speech' \\\n  -H "Authorization: Bearer $OS_API_KEY" \\\n  -H "Content-Type: application/json" \\\n  -d '{"input":"Hello there."}'`,
  );
  assert.match(of("POST", "/v1/audio/transcriptions"), /-F 'file=@speech.wav'$/);
  assert.equal(of("GET", "/v1/models"), `curl 'http://127.0.0.1:8100/v1/models' \\\n  -H "Authorization: Bearer $OS_API_KEY"`);
});
