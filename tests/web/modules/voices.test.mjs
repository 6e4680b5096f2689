import assert from "node:assert/strict";
import { test } from "node:test";
import { parse, shares, write } from "../../../web/js/blend.js";
import { kinds, matching, own, title } from "../../../web/js/voices.js";

const VOICES = [
  {
    id: "af_bella",
    name: "af_bella",
    kind: "builtin",
    display_name: "Bella",
    language: "en-US",
    gender: "female",
    engine: "kokoro",
    model: "kokoro",
  },
  {
    id: "ef_dora",
    name: "ef_dora",
    kind: "builtin",
    display_name: "Dora",
    language: "es",
    gender: "female",
    engine: "kokoro",
    model: "kokoro",
  },
  {
    id: "en_GB-alan-medium",
    name: "en_GB-alan-medium",
    kind: "builtin",
    language: "en-GB",
    gender: "male",
    engine: "piper",
    model: "piper/en_GB-alan-medium",
  },
  { id: "alloy", name: "alloy", kind: "alias", language: "en-US", engine: "kokoro", model: "kokoro" },
  { id: "stored", name: "Ann", kind: "library" },
];

test("what can be chosen is what speaks, and no second name of it", () => {
  assert.deepEqual(
    own(VOICES).map(({ id }) => id),
    ["af_bella", "ef_dora", "en_GB-alan-medium"],
  );
});

test("filters narrow the list together", () => {
  const ids = (wanted) => matching(own(VOICES), wanted).map(({ id }) => id);
  assert.deepEqual(ids({}), ["af_bella", "ef_dora", "en_GB-alan-medium"]);
  assert.deepEqual(ids({ language: "en" }), ["af_bella", "en_GB-alan-medium"]);
  assert.deepEqual(ids({ language: "en-GB" }), ["en_GB-alan-medium"]);
  assert.deepEqual(ids({ language: "en", gender: "female" }), ["af_bella"]);
  assert.deepEqual(ids({ engine: "piper", search: "british ALAN" }), ["en_GB-alan-medium"]);
  assert.deepEqual(ids({ search: "spanish" }), ["ef_dora"]);
  assert.deepEqual(ids({ search: "nobody" }), []);
});

test("a voice is called what people call it", () => {
  assert.deepEqual(VOICES.map(title), ["Bella", "Dora", "Alan", "alloy", "Ann"]);
  assert.deepEqual(kinds(VOICES, "gender"), ["female", "male"]);
});

test("a mixture is written as the server reads it, and read back", () => {
  const parts = [
    { id: "af_bella", weight: 2 },
    { id: "af_sky", weight: 0.5 },
  ];
  assert.equal(write(parts), "af_bella(2)+af_sky(0.5)");
  assert.deepEqual(parse(write(parts)), parts);
  assert.deepEqual(parse("af_bella"), [{ id: "af_bella", weight: 1 }]);
  assert.deepEqual(parse("af_bella(x)+"), []);
});

test("what has no weight is not heard, and one voice alone is just its name", () => {
  assert.equal(
    write([
      { id: "a", weight: 0.3 },
      { id: "b", weight: 0 },
    ]),
    "a",
  );
  assert.equal(
    write([
      { id: "a", weight: 0.1 + 0.2 },
      { id: "b", weight: 1 },
    ]),
    "a(0.3)+b(1)",
  );
  assert.equal(write([]), "");
});

test("shares are of the whole", () => {
  assert.deepEqual(
    shares([
      { id: "a", weight: 3 },
      { id: "b", weight: 1 },
    ]),
    [75, 25],
  );
  assert.deepEqual(shares([{ id: "a", weight: 0 }]), [0]);
});
