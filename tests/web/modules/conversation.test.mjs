import assert from "node:assert/strict";
import { test } from "node:test";
import { Conversation, stages, textBefore } from "../../../web/js/conversation.js";

const completed = (item_id, transcript) => ({ type: "conversation.item.input_audio_transcription.completed", item_id, transcript });
const delta = (response_id, item_id, delta) => ({ type: "response.output_audio_transcript.delta", response_id, item_id, delta });
const created = (id) => ({ type: "response.created", response: { id } });
const done = (id, status, error) => ({ type: "response.done", response: { id, status, status_details: error && { error } } });
const second = () => new ArrayBuffer(48_000);

/** A question and an answer of two sentences of a second each, which has not ended. */
function dialogue() {
  const talk = new Conversation();
  const changes = [];
  talk.onChange = (turn) => changes.push(turn.key);
  const question = talk.begin();
  talk.end(question, 1000, [second()]);
  talk.take({ type: "input_audio_buffer.committed", item_id: "u1" }, 1010);
  talk.take(created("r1"), 1020);
  talk.take(completed("u1", " How are you? "), 1300);
  talk.take(delta("r1", "a1", "I am fine. "), 1700);
  talk.audio({ response_id: "r1", item_id: "a1" }, second(), 1);
  talk.started("a1", 1800);
  talk.take(delta("r1", "a1", "It is a sunny day."), 1900);
  talk.audio({ response_id: "r1", item_id: "a1" }, second(), 1);
  return { talk, question, answer: talk.turns[1], changes };
}

test("a question and its answer become two turns, with the time of each stage after the end of the question", () => {
  const { talk, question, answer, changes } = dialogue();
  assert.deepEqual(
    talk.turns.map(({ who, text, item, state }) => [who, text, item, state]),
    [
      ["user", "How are you?", "u1", "done"],
      ["assistant", "I am fine. It is a sunny day.", "a1", "answering"],
    ],
  );
  assert.deepEqual(stages(answer), [
    ["transcript", 300],
    ["first text", 700],
    ["first audio", 800],
  ]);
  assert.deepEqual(stages(question), []);
  assert.equal(talk.answer, answer);
  talk.take(done("r1", "completed"), 2000);
  assert.equal(answer.state, "done");
  assert.equal(talk.answer, null);
  assert.ok(changes.includes(question.key) && changes.includes(answer.key));
});

test("an interrupted answer keeps what was played: text, audio, and what a new session has to know", () => {
  const { talk, answer } = dialogue();
  talk.interrupt(answer, 1.5);
  assert.deepEqual([answer.text, answer.unspoken, answer.state], ["I am fine. It is a", " sunny day.", "interrupted"]);
  assert.equal(
    answer.pcm.reduce((sum, part) => sum + part.byteLength, 0),
    72_000,
  );
  assert.deepEqual(
    talk.items.map(({ role, content }) => [role, content[0].type, content[0].text]),
    [
      ["user", "input_text", "How are you?"],
      ["assistant", "output_text", "I am fine. It is a"],
    ],
  );
});

test("the server's cut of an interrupted answer replaces the estimate", () => {
  const { talk, answer } = dialogue();
  talk.interrupt(answer, 1.5);
  const retrieved = (transcript) => ({ type: "conversation.item.retrieved", item: { id: "a1", content: [{ transcript }] } });
  talk.take(retrieved("I am fine. It"), 0);
  assert.deepEqual([answer.text, answer.unspoken], ["I am fine. It", " is a sunny day."]);
  talk.take(retrieved("something else"), 0);
  assert.equal(answer.text, "I am fine. It");
});

test("what arrives of an answer after its interruption is neither shown nor played", () => {
  const { talk, answer } = dialogue();
  talk.interrupt(answer, 0.4);
  assert.equal(talk.audio({ response_id: "r1", item_id: "a1" }, second(), 1), false);
  talk.take(delta("r1", "a1", "And more."), 3000);
  talk.take(done("r1", "cancelled"), 3000);
  assert.deepEqual([answer.text, answer.state, answer.pcm.length], ["I", "interrupted", 1]);
});

test("speech without words and an answer without text leave no turn", () => {
  const talk = new Conversation();
  talk.begin("u1");
  talk.take(created("r1"), 0);
  talk.take(completed("u1", ""), 0);
  talk.take(done("r1", "completed"), 0);
  assert.deepEqual(talk.turns, []);
});

test("a press of the button without words says so", () => {
  const talk = new Conversation();
  const turn = talk.begin();
  talk.take({ type: "input_audio_buffer.committed", item_id: "u1" }, 0);
  talk.take(completed("u1", " "), 0);
  assert.deepEqual([turn.state, turn.error], ["failed", "No speech was recognized."]);
});

test("a transcript grows while the user is speaking", () => {
  const talk = new Conversation();
  const turn = talk.begin("u1");
  const event = { type: "conversation.item.input_audio_transcription.delta", item_id: "u1" };
  for (const delta of ["How ", "are "]) talk.take({ ...event, delta }, 0);
  assert.deepEqual([turn.text, turn.state, talk.speaking], ["How are ", "speaking", turn]);
});

test("a failure keeps the server's words", () => {
  const talk = new Conversation();
  talk.begin("u1");
  talk.take({ type: "conversation.item.input_audio_transcription.failed", item_id: "u1", error: { message: "Overloaded." } }, 0);
  talk.take(created("r1"), 0);
  talk.take(done("r1", "failed", { message: "No answer in time." }), 0);
  assert.deepEqual(
    talk.turns.map(({ state, error }) => [state, error]),
    [
      ["failed", "Overloaded."],
      ["failed", "No answer in time."],
    ],
  );
});

test("a question is answered once: a second response does not take its times", () => {
  const { talk, answer } = dialogue();
  talk.take(done("r1", "completed"), 0);
  talk.take(created("r2"), 0);
  assert.equal(talk.turns[2].question, null);
  assert.notEqual(answer.question, null);
});

test("a lost connection leaves no turn under way", () => {
  const { talk } = dialogue();
  talk.begin("u2");
  talk.disconnect();
  assert.deepEqual(
    talk.turns.map(({ state }) => state),
    ["done", "interrupted"],
  );
});

test("a long conversation keeps all its text and the last half hour of its audio", () => {
  const talk = new Conversation();
  for (let minute = 0; minute < 40; minute++) talk.end(talk.begin(`u${minute}`), 0, [new ArrayBuffer(60 * 48_000)]);
  assert.equal(talk.turns.length, 40);
  assert.equal(talk.turns.filter(({ pcm }) => pcm.length).length, 30);
  assert.equal(talk.turns[39].pcm.length, 1);
});

test("a text is cut in proportion to its audio, at a space, as the server does it", () => {
  const marks = [
    [0, "One two three. "],
    [2, "Four five six."],
  ];
  assert.equal(textBefore(marks, 0, 4), "");
  assert.equal(textBefore(marks, 2, 4), "One two three. ");
  assert.equal(textBefore(marks, 3, 4), "One two three. Four");
  assert.equal(textBefore(marks, 4, 4), "One two three. Four five six.");
});

test("an answer that the server plays is recorded as it is heard, and cut where the server cuts it", () => {
  const talk = new Conversation();
  const question = talk.begin();
  talk.end(question, 1000, [second()]);
  talk.take(created("r1"), 1020);
  talk.take(delta("r1", "a1", "I am fine. It is a sunny day."), 1700);
  talk.take(done("r1", "completed"), 1750);
  talk.heard("r1", second(), 1);
  talk.heard("another", second(), 1);
  const answer = talk.turns[1];
  assert.deepEqual([answer.state, answer.seconds, answer.pcm.length], ["done", 1, 1]);
  assert.equal(talk.truncated("another"), false);
  assert.equal(talk.truncated("a1"), true);
  talk.take({ type: "conversation.item.retrieved", item: { id: "a1", content: [{ transcript: "I am fine." }] } }, 2000);
  assert.deepEqual([answer.state, answer.text, answer.unspoken], ["interrupted", "I am fine.", " It is a sunny day."]);
});
