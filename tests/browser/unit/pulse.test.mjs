// Whether the node in use lives, and how the cluster does.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError } from "../../../bin/node/assets/api.js";
import { Nodes } from "../../../bin/node/assets/nodes.js";
import { Pulse } from "../../../bin/node/assets/pulse.js";

const URLS = ["https://127.0.0.1:1", "https://127.0.0.1:2"];
const nodes = URLS.map((client, index) => ({ id: index + 1, client }));
const picture = (leader) => ({ leader, nodes });
const silence = new ApiError(0, "unreachable", "no node answers");

/** A page connected to the first node, where questions are answered one after the other. */
function page(context, answers, node = URLS[0]) {
  const time = { now_ms: 1_000 };
  context.mock.timers.enable({ apis: ["setTimeout"] });
  context.mock.method(performance, "now", () => time.now_ms);
  globalThis.document = { hidden: false };
  const seen = { asked: [], silent: 0, pictures: 0, misses: 0 };
  const live = { node, silent: () => (seen.silent += 1) };
  const pulse = new Pulse(new Nodes(URLS[0], URLS), live, {
    ask: async (asked) => {
      seen.asked.push(asked);
      return answers.shift();
    },
    onPicture: () => (seen.pictures += 1),
    onMiss: () => (seen.misses += 1),
  });
  return { pulse, live, seen, time };
}

test("a node that does not answer twice in a row is silent", async (context) => {
  const { pulse, seen } = page(context, [silence, picture(1), silence, silence]);
  for (let asked = 1; asked <= 4; asked += 1) {
    assert.equal(seen.silent, 0);
    await pulse.ask();
  }
  assert.deepEqual([seen.silent, seen.misses, seen.pictures], [1, 3, 1]);
});

test("a node that refuses to say lives", async (context) => {
  const refused = new ApiError(503, "busy", "as many requests as this node allows");
  const { pulse, seen } = page(context, [refused, refused, refused]);
  for (let asked = 1; asked <= 3; asked += 1) await pulse.ask();
  assert.equal(seen.silent, 0);
});

test("where none is in use they are asked in turn", async (context) => {
  const { pulse, seen } = page(context, [silence, silence, silence], null);
  for (let asked = 1; asked <= 3; asked += 1) await pulse.ask();
  assert.deepEqual(seen.asked, [URLS[0], URLS[1], URLS[0]]);
  assert.equal(pulse.state, "reconnecting");
});

test("an answer that comes after the end is told to nobody, and leads to no question", async (context) => {
  const { pulse, seen } = page(context, [picture(1), picture(1)]);
  const asked = pulse.ask();
  pulse.stop();
  await asked;
  context.mock.timers.tick(60_000);
  assert.deepEqual([seen.pictures, seen.asked.length, pulse.cluster], [0, 1, null]);
});

test("two questions at once lead to one", async (context) => {
  const { pulse, seen } = page(context, [picture(1), picture(1), picture(1), picture(1)]);
  await Promise.all([pulse.ask(), pulse.ask()]);
  assert.equal(seen.asked.length, 2);
  context.mock.timers.tick(1_500);
  assert.equal(seen.asked.length, 3);
});

test("a short election is not worth a word, a long one is", (context) => {
  const { pulse, time } = page(context, []);
  pulse.told(picture(null));
  time.now_ms += 1_200;
  assert.equal(pulse.state, "connected");
  time.now_ms += 1;
  pulse.told(picture(null));
  assert.equal(pulse.state, "waiting");
  pulse.told(picture(2));
  assert.equal(pulse.state, "connected");
});

test("without any node the picture is old after a while", (context) => {
  const { pulse, live, time } = page(context, []);
  pulse.told(picture(1));
  assert.equal(pulse.node.id, 1);
  live.node = null;
  assert.deepEqual([pulse.state, pulse.node, pulse.is_unheard], ["reconnecting", null, false]);
  time.now_ms += 3_001;
  assert.equal(pulse.is_unheard, true);
});
