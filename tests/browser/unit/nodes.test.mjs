// Which node is in use, and which comes next.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Nodes } from "../../../bin/node/assets/nodes.js";

const URLS = ["https://127.0.0.1:1", "https://127.0.0.1:2", "https://127.0.0.1:3"];

test("a dead node is left once, however many notice", () => {
  const nodes = new Nodes(URLS[1], URLS);
  assert.equal(nodes.current, URLS[1]);
  const next = nodes.leave(URLS[1]);
  assert.equal(nodes.leave(URLS[1]), next);
  assert.notEqual(next, URLS[1]);
});

test("every node has its turn", () => {
  const nodes = new Nodes(URLS[2], URLS);
  const used = URLS.map(() => {
    const { current } = nodes;
    nodes.leave(current);
    return current;
  });
  assert.deepEqual(used.sort(), URLS);
  assert.equal(nodes.current, URLS[2], "and the first one again");
});

test("the own node is asked under the page's own origin", () => {
  const nodes = new Nodes("https://localhost:2", URLS);
  assert.equal(nodes.reach(URLS[1]), "https://localhost:2");
  assert.equal(nodes.reach(URLS[0]), URLS[0]);
  assert.equal(nodes.urls.length, URLS.length);
});

test("nonsense is no node", () => {
  const nodes = new Nodes(URLS[0], ["", "nonsense", ...URLS]);
  assert.deepEqual([...nodes.urls].sort(), URLS);
});

test("the one in use is kept when the cluster changes, unless it is gone", () => {
  const nodes = new Nodes(URLS[0], URLS);
  nodes.leave(URLS[0]);
  const used = nodes.current;
  nodes.learn(URLS);
  assert.equal(nodes.current, used);
  nodes.learn(URLS.filter((url) => url !== used));
  assert.equal(nodes.current, URLS[0]);
});
