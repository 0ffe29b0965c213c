// What the page knows: no gap, no repeat, nothing sent twice or out of order.

import assert from "node:assert/strict";
import { test } from "node:test";

import { compareIds, Store } from "../../../bin/node/assets/store.js";

const LABEL = "#general";

function begun(items = []) {
  const store = new Store();
  store.me = { name: "ann", role: "member" };
  store.receive({ type: "ready", cursor: "100" });
  store.setConversations([{ conversation: LABEL, unread: 0, mentions: 0, read_upto: 0, last: items.at(-1) ?? null }]);
  store.history(LABEL, { items, more_before: false, more_after: false }, "fresh");
  return store;
}

const said = (seq, author, text = `text ${seq}`) => ({ id: String(100 + seq), conversation: LABEL, seq, author, time: "2026-01-31T12:00:00.000000Z", text, edited: false });
const told = (message) => ({ type: "message", cursor: message.id, message });
const seqs = (store) => store.conversation(LABEL).messages.map(({ seq }) => seq);
const refusal = (code) => ({ code, message: "no", hint: "" });

test("log indexes are ordered as numbers", () => {
  const ids = ["10", "9", "0", "18446744073709551615", "100", "9"];
  assert.deepEqual(ids.sort(compareIds), ["0", "9", "9", "10", "100", "18446744073709551615"]);
});

test("a frame that comes again changes nothing", () => {
  const store = begun();
  for (const seq of [1, 2, 2, 1, 3, 3]) store.receive(told(said(seq, "bob")));
  assert.deepEqual(seqs(store), [1, 2, 3]);
  assert.equal(store.conversation(LABEL).unread, 3);
  assert.equal(store.cursor, "103");
});

test("a gap is noticed and filled, never shown", () => {
  const store = begun([said(1, "bob")]);
  store.receive(told(said(4, "bob")));
  assert.deepEqual(seqs(store), [1]);
  assert.ok(store.conversation(LABEL).is_stale);
  const items = [1, 2, 3, 4].map((seq) => said(seq, "bob"));
  store.history(LABEL, { items, more_before: false, more_after: false }, "fresh");
  assert.deepEqual(seqs(store), [1, 2, 3, 4]);
  assert.ok(!store.conversation(LABEL).is_stale);
});

test("pieces of history join without a repeat", () => {
  const page = (from, upto) => Array.from({ length: upto - from + 1 }, (_, place) => said(from + place, "bob"));
  const store = begun(page(5, 8));
  store.history(LABEL, { items: page(2, 5), more_before: true, more_after: true }, "before");
  store.history(LABEL, { items: page(8, 9), more_before: true, more_after: false }, "after");
  assert.deepEqual(seqs(store), [2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(store.conversation(LABEL).more_before, true);
});

test("a piece of history that was overtaken leaves no hole", () => {
  const page = (from, upto) => Array.from({ length: upto - from + 1 }, (_, place) => said(from + place, "bob"));
  const store = begun(page(30, 40));
  // Each was asked for when something else was held.
  store.history(LABEL, { items: page(1, 9), more_before: false, more_after: true }, "before");
  store.history(LABEL, { items: page(50, 60), more_before: true, more_after: false }, "after");
  assert.deepEqual(seqs(store), page(30, 40).map(({ seq }) => seq));
  store.history(LABEL, { items: page(20, 29), more_before: true, more_after: true }, "before");
  store.history(LABEL, { items: [], more_before: true, more_after: false }, "after");
  assert.deepEqual(seqs(store), page(20, 40).map(({ seq }) => seq));
  assert.equal(store.conversation(LABEL).more_before, true);
});

test("an empty history older than the first message is loaded again", () => {
  const store = begun();
  store.receive(told({ ...said(1, "bob"), conversation: "@bob" }));
  store.history("@bob", { items: [], more_before: false, more_after: false }, "fresh");
  assert.ok(store.conversation("@bob").is_stale);
});

test("one's own answer that overtakes another's message has the list asked for again", () => {
  const store = begun([said(1, "bob")]);
  store.is_dirty = false;
  store.enqueue(LABEL, "hello", "r1", 0);
  store.take();
  store.receive({ type: "sent", request_id: "r1", message: said(3, "ann", "hello") });
  assert.ok(store.is_dirty);
  store.is_dirty = false;
  store.receive(told(said(4, "bob")));
  assert.ok(!store.is_dirty, "nothing is missing here");
});

test("a message that no node could say the fate of is shown once when it turns up", () => {
  const store = begun([said(1, "ann", "hello")]);
  for (const id of ["r1", "r2"]) {
    store.enqueue(LABEL, "hello", id, 0);
    for (let tries = 0; tries < 3; tries += 1) {
      store.take();
      store.receive({ type: "failed", request_id: id, error: refusal("outcome_unknown"), retry: true });
    }
  }
  // What was said before cannot be it.
  store.history(LABEL, { items: [said(1, "ann", "hello")], more_before: false, more_after: false }, "fresh");
  assert.deepEqual(store.unsent(LABEL).map((it) => it.request_id), ["r1", "r2"]);
  store.receive(told(said(2, "ann", "hello")));
  assert.deepEqual(store.unsent(LABEL).map((it) => it.request_id), ["r2"]);
  assert.equal(store.conversation(LABEL).messages[1].request_id, "r1");
});

test("what was refused, or never went out, is not taken for another of the same words", () => {
  const store = begun();
  store.enqueue(LABEL, "hello", "r1", 0);
  store.take();
  store.receive({ type: "failed", request_id: "r1", error: refusal("not_a_member"), retry: false });
  store.enqueue(LABEL, "hello", "r2", 0);
  store.receive(told(said(1, "ann", "hello")));
  assert.deepEqual(store.unsent(LABEL).map((it) => it.request_id), ["r1", "r2"]);
});

test("where another log stands only what is to be sent is kept", () => {
  const store = begun([said(1, "bob")]);
  store.enqueue(LABEL, "hello", "r1", 0);
  store.take();
  const fresh = store.afresh();
  assert.deepEqual([fresh.me, fresh.cursor, fresh.list()], [store.me, null, []]);
  assert.deepEqual(fresh.take().map((it) => it.request_id), ["r1"]);
});

test("one's own message is shown once, whichever of its two frames comes first", () => {
  for (const order of [["message", "sent"], ["sent", "message"]]) {
    const store = begun();
    store.enqueue(LABEL, "hello", "r1", 0);
    store.take();
    assert.equal(store.unsent(LABEL).length, 1);
    const message = said(1, "ann", "hello");
    const frames = { message: told({ ...message }), sent: { type: "sent", request_id: "r1", message: { ...message } } };
    for (const type of order) {
      store.receive(frames[type]);
      assert.equal(store.unsent(LABEL).length + seqs(store).length, 1, `${order}: after ${type}`);
    }
    assert.deepEqual(store.outbox, []);
    assert.equal(store.conversation(LABEL).messages[0].request_id, "r1");
    assert.equal(store.conversation(LABEL).unread, 0);
  }
});

test("the same words from another device are a message of their own", () => {
  const store = begun();
  store.enqueue(LABEL, "ok", "r1", 0);
  store.take();
  store.receive(told(said(1, "ann", "ok")));
  store.receive(told(said(2, "ann", "ok")));
  store.receive({ type: "sent", request_id: "r1", message: said(2, "ann", "ok") });
  assert.deepEqual(seqs(store), [1, 2]);
  assert.deepEqual(store.conversation(LABEL).messages.map((it) => it.request_id), [undefined, "r1"]);
  assert.deepEqual(store.unsent(LABEL), []);
});

test("what was on its way goes out again in its order, under its ids", () => {
  const store = begun();
  for (const id of ["r1", "r2", "r3"]) store.enqueue(LABEL, id, id, 0);
  store.enqueue("@bob", "else", "r4", 0);
  const ids = () => store.take().map((it) => [it.request_id, it.after]);
  const all = [["r1", undefined], ["r2", "r1"], ["r3", "r2"], ["r4", undefined]];
  assert.deepEqual(ids(), all);
  assert.deepEqual(ids(), [], "nothing goes out twice");
  store.disconnected();
  assert.deepEqual(ids(), all);
});

test("a message whose fate is open is tried again, then offered by hand under the same id", () => {
  const store = begun();
  store.enqueue(LABEL, "hello", "r1", 0);
  for (const state of ["pending", "pending", "failed"]) {
    assert.equal(store.take().length, 1);
    store.receive({ type: "failed", request_id: "r1", error: refusal("outcome_unknown"), retry: true });
    assert.equal(store.outbox[0].state, state);
  }
  assert.deepEqual(store.take(), []);
  store.retry("r1", "fresh");
  assert.deepEqual(store.take().map((it) => it.request_id), ["r1"]);
});

test("a message refused for good gets a new id: the refusal of the old one is remembered", () => {
  const store = begun();
  store.enqueue(LABEL, "hello", "r1", 0);
  store.take();
  store.receive({ type: "failed", request_id: "r1", error: refusal("not_a_member"), retry: false });
  assert.equal(store.outbox[0].state, "failed");
  store.retry("r1", "fresh");
  assert.deepEqual(store.take().map((it) => [it.request_id, it.after]), [["fresh", undefined]]);
});

test("an id that may have been used is never replaced", () => {
  const store = begun();
  store.enqueue(LABEL, "hello", "r1", 0);
  store.take();
  store.receive({ type: "failed", request_id: "r1", error: refusal("request_id_expired"), retry: false });
  store.retry("r1", "fresh");
  assert.equal(store.outbox[0].request_id, "r1");
});

test("what must follow a message waits for it, and goes on without it when it failed", () => {
  const store = begun();
  for (const id of ["r1", "r2"]) store.enqueue(LABEL, id, id, 0);
  store.take();
  store.receive({ type: "failed", request_id: "r1", error: refusal("unavailable"), retry: true });
  store.receive({ type: "failed", request_id: "r2", error: refusal("out_of_order"), retry: true });
  assert.deepEqual(store.take().map((it) => [it.request_id, it.after]), [["r1", undefined], ["r2", "r1"]]);
  store.receive({ type: "failed", request_id: "r1", error: refusal("text_too_long"), retry: false });
  store.receive({ type: "failed", request_id: "r2", error: refusal("out_of_order"), retry: true });
  assert.deepEqual(store.take().map((it) => [it.request_id, it.after]), [["r2", undefined]]);
});

test("not more than a bounded number is on its way", () => {
  const store = begun();
  for (let place = 0; place < 100; place += 1) store.enqueue(LABEL, "x", `r${place}`, 0);
  const first = store.take();
  assert.equal(first.length, 32);
  store.receive({ type: "sent", request_id: "r0", message: said(1, "ann", "x") });
  assert.deepEqual(store.take().map((it) => it.request_id), ["r32"]);
});

test("a mark never goes back, and counts what lies behind it", () => {
  const store = begun([1, 2, 3].map((seq) => said(seq, seq === 2 ? "ann" : "bob")));
  const one = store.conversation(LABEL);
  store.receive({ type: "read", cursor: "110", conversation: LABEL, upto: 1 });
  assert.deepEqual([one.read_upto, one.unread], [1, 1]);
  store.receive({ type: "read", cursor: "111", conversation: LABEL, upto: 3 });
  store.receive({ type: "read", cursor: "112", conversation: LABEL, upto: 2 });
  assert.deepEqual([one.read_upto, one.unread], [3, 0]);
});

test("a list older than what has come in since takes nothing away", () => {
  const store = begun([said(1, "bob")]);
  store.receive(told(said(2, "bob")));
  store.setConversations([{ conversation: LABEL, unread: 1, mentions: 0, read_upto: 0, last: said(1, "bob") }]);
  const one = store.conversation(LABEL);
  assert.deepEqual([one.last_seq, one.last.seq], [2, 2]);
  assert.ok(store.is_dirty, "and is asked for again");
});

test("a deleted message keeps its place and loses its text", () => {
  const store = begun([1, 2, 3].map((seq) => said(seq, "bob")));
  const gone = { id: "102", conversation: LABEL, seq: 2, deleted: true, text: null };
  store.receive({ type: "deleted", cursor: "120", message: gone });
  assert.deepEqual(seqs(store), [1, 2, 3]);
  assert.deepEqual(store.conversation(LABEL).messages[1], gone);
});

test("a deleted account's messages lose their author, or their text", () => {
  for (const erased of [false, true]) {
    const store = begun([said(1, "bob"), said(2, "ann")]);
    store.receive({ type: "account", cursor: "120", user: "bob", deleted: true, erased });
    const [first, second] = store.conversation(LABEL).messages;
    assert.equal(erased ? first.text : first.author, erased ? null : "deleted user");
    assert.equal(second.author, "ann");
  }
});

test("after a resync everything held is loaded again", () => {
  const store = begun([said(1, "bob")]);
  store.is_dirty = false;
  store.receive({ type: "resync", cursor: "150" });
  assert.ok(store.is_dirty && store.conversation(LABEL).is_stale);
  assert.equal(store.cursor, "150");
});

test("the list is latest first, and holds what one is in", () => {
  const store = begun([said(1, "bob")]);
  store.setConversations([
    { conversation: "#new", unread: 0, read_upto: 0, last: null },
    { conversation: LABEL, unread: 0, read_upto: 0, last: said(1, "bob") },
    { conversation: "@bob", unread: 0, read_upto: 0, last: { ...said(1, "bob"), id: "50", conversation: "@bob" } },
  ]);
  assert.deepEqual(store.list().map(({ label }) => label), ["#new", LABEL, "@bob"]);
  store.receive(told({ ...said(2, "bob"), conversation: "@bob" }));
  assert.equal(store.list()[0].label, "@bob");
  store.receive({ type: "member", cursor: "130", conversation: LABEL, user: "ann", change: "left" });
  assert.deepEqual(store.list().map(({ label }) => label), ["@bob", "#new"]);
});
