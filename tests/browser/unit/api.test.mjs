// Whose page it is, and what ends that: a refusal, never an outage.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { Api } from "../../../bin/node/assets/api.js";
import { Nodes } from "../../../bin/node/assets/nodes.js";
import { Clock, Ids } from "../../../bin/node/assets/uuid7.js";

const OWN = "https://127.0.0.1:1";
const HOUR_MS = 3_600_000;
const original = globalThis.fetch;
afterEach(() => (globalThis.fetch = original));

/** A page of Ann's, where a node answers with `[status, json]`, or not at all. */
function page(answers) {
  const clock = new Clock();
  const api = new Api(new Nodes(OWN, [OWN]), clock, new Ids(clock));
  const seen = { ended: [], asked: [] };
  api.onEnded = (refusal) => seen.ended.push(refusal.code);
  globalThis.fetch = async (url, { headers }) => {
    const path = url.slice(OWN.length);
    seen.asked.push(path);
    const [status, json] = await answers(path, headers.Authorization);
    return new Response(JSON.stringify(json), { status });
  };
  Object.assign(api, { user: "ann", token: "old", ends_ms: clock.now() + HOUR_MS });
  return { api, clock, seen };
}

const token = (name) => [200, { user: { name, role: "member" }, token: `of ${name}`, expires: new Date(Date.now() + HOUR_MS).toISOString() }];
const refused = (status, code) => [status, { error: { code, message: "no", hint: "" } }];

test("a cookie that is someone else's ends the page's session", async () => {
  const { api, seen } = page((_, bearer) => (bearer ? refused(401, "session_ended") : token("bob")));
  await assert.rejects(api.get("/v1/conversations"), { code: "session_ended" });
  assert.deepEqual([seen.ended, api.token], [["session_ended"], null]);
});

test("a token that ended is renewed by one's own cookie", async () => {
  const { api, seen } = page((path, bearer) => {
    if (bearer === "Bearer old") return refused(401, "session_ended");
    return path === "/v1/token" ? token("ann") : [200, { is_good: true }];
  });
  assert.deepEqual(await api.get("/v1/conversations"), { is_good: true });
  assert.deepEqual([seen.ended, api.token], [[], "of ann"]);
});

test("an outage while it is renewed ends nothing, and nobody waits for it", async () => {
  const renewals = [];
  const { api, clock, seen } = page((path) => {
    if (path !== "/v1/token") return [200, {}];
    return new Promise((_, fail) => renewals.push(fail));
  });
  api.renew_ms = clock.now() - 1;
  await api.get("/v1/conversations");
  assert.equal(renewals.length, 1);
  const { renewing } = api;
  renewals[0](new TypeError("no network"));
  await assert.rejects(renewing, { code: "unreachable" });
  assert.ok(api.renew_ms > clock.now(), "there is a pause before the next");
  assert.deepEqual([seen.ended, api.token], [[], "old"]);
  assert.deepEqual(seen.asked.filter((path) => path === "/v1/token").length, 1, "the cookie is not asked");
});

test("only a refusal says that there is no session to go on with", async () => {
  for (const [answer, found] of [[token("ann"), true], [refused(401, "unauthenticated"), false], [refused(403, "forbidden"), false]]) {
    assert.equal(await page(() => answer).api.resume(), found);
  }
  for (const [status, code] of [[409, "request_id_ahead"], [503, "no_leader"], [504, "outcome_unknown"]]) {
    await assert.rejects(page(() => refused(status, code)).api.resume(), { code });
  }
});

test("an answer reaches nobody who came after", async () => {
  let answer;
  const { api } = page(() => new Promise((done) => (answer = done)));
  const asked = api.get("/v1/channels/secret");
  await new Promise((done) => setImmediate(done));
  api.forget();
  answer([200, { name: "secret" }]);
  await assert.rejects(asked, { code: "left" });
});
