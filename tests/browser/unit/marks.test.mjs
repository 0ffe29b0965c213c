// Read marks get to the nodes, each as far as it goes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Marks } from "../../../bin/node/assets/marks.js";

test("a mark that no node took is told again, at its latest; a refused one is not", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const told = [];
  const failures = [{ status: 503 }, { status: 403 }];
  const marks = new Marks(async (...mark) => {
    told.push(mark);
    const failure = failures.shift();
    if (failure) throw failure;
  }, () => {});
  marks.add("#a", 5);
  marks.add("#b", 7);
  await marks.run();
  marks.add("#a", 4);
  await marks.run();
  await marks.run();
  assert.deepEqual(told, [["#a", 5], ["#b", 7], ["#a", 5]]);
});

test("marks of who has left are told for nobody", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const told = [];
  const marks = new Marks(async (...mark) => {
    told.push(mark);
    marks.drop();
    throw { status: 0 };
  }, () => assert.fail("nobody is here"));
  marks.add("#a", 5);
  marks.add("#b", 7);
  await marks.run();
  context.mock.timers.tick(60_000);
  assert.deepEqual([told, marks.due.size], [[["#a", 5]], 0]);
});
