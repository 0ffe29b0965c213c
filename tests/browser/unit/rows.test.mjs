// The lines of a conversation: days, the mark where reading stopped, who said it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { rows } from "../../../bin/node/assets/view/message.js";

const said = (seq, author, time) => ({ id: `${seq}`, conversation: "#a", seq, author, time, text: "text" });
const gone = (seq) => ({ id: `${seq}`, conversation: "#a", seq, deleted: true, text: null });
const lines = (messages, { unsent = [], marker = null, more_after = false } = {}) =>
  rows({ messages, more_after }, unsent, { me: "ann", marker });
const kinds = (found) => found.map(({ kind }) => kind);

test("one author's messages stand together for five minutes of one day", () => {
  const at = (minute) => `2026-01-31T12:${String(minute).padStart(2, "0")}:00Z`;
  const found = lines([said(1, "bob", at(0)), said(2, "bob", at(4)), said(3, "ann", at(5)), said(4, "bob", at(6)), said(5, "bob", at(12))]);
  assert.deepEqual(kinds(found), ["date", "message", "message", "message", "message", "message"]);
  assert.deepEqual(found.slice(1).map(({ is_grouped }) => is_grouped), [false, true, false, false, false]);
  assert.deepEqual(found.slice(1).map(({ is_mine }) => is_mine), [false, false, true, false, false]);
});

test("a new day has a line, and begins with an author", () => {
  const found = lines([said(1, "bob", "2026-01-31T12:00:00Z"), said(2, "bob", "2026-02-02T12:00:00Z")]);
  assert.deepEqual(kinds(found), ["date", "message", "date", "message"]);
  assert.equal(found[3].is_grouped, false);
});

test("the mark stands before the first message of another that is unread", () => {
  const messages = ["bob", "ann", "bob", "bob"].map((author, place) => said(place + 1, author, "2026-01-31T12:00:00Z"));
  const found = lines(messages, { marker: 1 });
  assert.deepEqual(kinds(found), ["date", "message", "message", "marker", "message", "message"]);
  assert.ok(!kinds(lines(messages)).includes("marker"));
  assert.ok(!kinds(lines(messages, { marker: 4 })).includes("marker"));
});

test("a deleted message keeps its line, and parts those around it", () => {
  const found = lines([said(1, "bob", "2026-01-31T12:00:00Z"), gone(2), said(3, "bob", "2026-01-31T12:00:00Z")]);
  assert.deepEqual(kinds(found), ["date", "message", "message", "message"]);
  assert.equal(found[3].is_grouped, false);
});

test("what is to be sent stands at the end, if the end is in sight", () => {
  const unsent = [{ request_id: "r1", time_ms: Date.parse("2026-01-31T12:01:00Z") }];
  const messages = [said(1, "ann", "2026-01-31T12:00:00Z")];
  const found = lines(messages, { unsent });
  assert.equal(found.at(-1).key, "r1");
  assert.ok(found.at(-1).is_mine && found.at(-1).is_grouped);
  assert.equal(lines(messages, { unsent, more_after: true }).at(-1).key, "s1");
});

test("a message keeps its line when it is sent", () => {
  const sent = { ...said(1, "ann", "2026-01-31T12:00:00Z"), request_id: "r1" };
  const unsent = [{ request_id: "r1", time_ms: Date.parse("2026-01-31T12:00:00Z") }];
  assert.equal(lines([sent]).at(-1).key, lines([], { unsent }).at(-1).key);
});
