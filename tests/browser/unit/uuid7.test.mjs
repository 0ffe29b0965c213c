// Request ids: of version 7, by the nodes' clock, each above the one before.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Clock, Ids } from "../../../bin/node/assets/uuid7.js";

const FORM = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const time = (id) => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);

function fixed() {
  let ticks = 0;
  const clock = new Clock(() => ticks);
  clock.hear("2026-01-31T12:00:00.500000Z");
  return { clock, ids: new Ids(clock), pass: (ms) => (ticks += ms) };
}

test("ids have the form, and the time of the nodes", () => {
  const { ids, pass } = fixed();
  const first = ids.next();
  assert.match(first, FORM);
  assert.equal(time(first), Date.UTC(2026, 0, 31, 12, 0, 0, 500));
  pass(250);
  assert.equal(time(ids.next()), Date.UTC(2026, 0, 31, 12, 0, 0, 750));
});

test("ids ascend, within a millisecond and when the clock is put back", () => {
  const { clock, ids } = fixed();
  const made = Array.from({ length: 10_000 }, () => ids.next());
  clock.hear("2026-01-31T12:00:00.400000Z");
  made.push(ids.next());
  assert.deepEqual(made, [...new Set(made)].sort());
});

test("a clock that was far ahead is not followed", () => {
  const { clock, ids } = fixed();
  clock.hear("2036-01-31T12:00:00.000000Z");
  ids.next();
  clock.hear("2026-01-31T12:00:00.000000Z");
  assert.equal(time(ids.next()), Date.UTC(2026, 0, 31, 12));
});

test("nonsense about the time is not believed", () => {
  const { clock } = fixed();
  const before = clock.now();
  for (const nonsense of [null, "", "yesterday", "NaN"]) clock.hear(nonsense);
  assert.equal(clock.now(), before);
});
