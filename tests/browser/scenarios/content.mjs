// Hostile content (`content.json`) is shown as the text it is: nothing of it runs, loads, becomes an
// element or a link that it should not, turns the text around it, or breaks the layout.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { eventually } from "../stage/wait.mjs";

const CORPUS = JSON.parse(readFileSync(new URL("../content.json", import.meta.url), "utf8"));
const ROOM = "#content";
// What turns or swallows the text around it: shown by name, never passed on to the screen.
const TURNING = /[\u202a-\u202e\u2066-\u2069]/u;

const whole = ({ text, then = "", times = 0 }) => text + then.repeat(times);

export async function play(stage) {
  const { password, ownerToken } = stage.director;
  const mallory = await stage.account("mallory", 1).register(ownerToken);
  await mallory.must("POST", "/v1/channels", { name: "content", topic: whole(CORPUS.shown[0]) });
  await refusals(stage, mallory);
  const ann = await stage.person(2);
  await ann.signUp("ann", password);
  await ann.joinChannel("content");
  const baseline = await elements(ann);
  for (const entry of CORPUS.shown) await isShown(ann, mallory, entry, baseline);
  assert.equal(await ann.page.title().then((title) => TURNING.test(title)), false);
  await ann.page.reload();
  await ann.isIn("ann");
  await ann.isAt(ROOM);
  await ann.scrollToTheBeginning();
  await isUnharmed(ann, "all of it, loaded again", baseline);
  await topics(ann, mallory);
}

/** What no message or name may be is refused with a code; it never reaches a page. */
async function refusals(stage, mallory) {
  for (const entry of CORPUS.refused) {
    const { status, json } = await mallory.call("POST", "/v1/messages", { to: ROOM, text: whole(entry) });
    assert.ok(status === 422 || status === 413, `${entry.what}: ${status}`);
    assert.ok(json.error.code && json.error.message && json.error.hint, entry.what);
  }
  for (const name of CORPUS.names) {
    const { password } = stage.director;
    const { status } = await mallory.call("POST", "/v1/register", { name, password });
    assert.ok(status === 422 || status === 400, `the name ${JSON.stringify(name)}: ${status}`);
  }
}

async function isShown(ann, mallory, entry, baseline) {
  const text = whole(entry);
  const { id } = await mallory.send(ROOM, text);
  const message = ann.page.locator(`[data-testid="message"][data-id="${id}"]`);
  const body = message.getByTestId("message-text");
  await body.waitFor();
  const shown = await body.evaluate((element) => element.textContent);
  if (entry.controls) {
    assert.ok(!TURNING.test(shown), `${entry.what}: ${JSON.stringify(shown)}`);
    for (const control of entry.controls) {
      assert.match(shown.toLowerCase(), new RegExp(control), `${entry.what}: shown by name`);
    }
  } else if (!entry.loose) {
    assert.equal(shown.trimEnd(), text.trimEnd(), entry.what);
  }
  const links = await body.locator("a").evaluateAll((found) =>
    found.map(({ protocol, host, rel }) => ({ protocol, host, rel })),
  );
  for (const { protocol, rel } of links) {
    assert.match(protocol, /^https?:$/, entry.what);
    assert.match(rel, /noreferrer|noopener/, `${entry.what}: tells nobody where it stands`);
  }
  if (entry.links) assert.deepEqual(links, entry.links, entry.what);
  if (entry.hosts) assert.deepEqual(links.map(({ host }) => host), entry.hosts, entry.what);
  await isUnharmed(ann, entry.what, baseline);
}

/** No code ran, no element came out of a text, and nothing is wider than the window. */
async function isUnharmed(ann, what, baseline) {
  assert.deepEqual(await elements(ann), baseline, what);
  const state = await ann.page.evaluate(() => ({
    pwned: window.pwned ?? null,
    page: document.documentElement.scrollWidth - window.innerWidth,
    pane: (() => {
      const log = document.querySelector('[data-testid="messages"]');
      const isCut = getComputedStyle(log).overflowX === "hidden";
      return log.scrollLeft + (isCut ? 0 : log.scrollWidth - log.clientWidth);
    })(),
    composer: document.querySelector('[data-testid="composer"]').getBoundingClientRect().bottom <= window.innerHeight,
  }));
  assert.deepEqual(state, { pwned: null, page: 0, pane: 0, composer: true }, what);
}

/** Elements that only hostile text would make. */
function elements(ann) {
  return ann.page.evaluate(() => {
    const kinds = ["img", "script", "iframe", "object", "embed", "base", "style", "meta", "link"];
    return kinds.map((kind) => `${kind} ${document.querySelectorAll(kind).length}`);
  });
}

/** The same text as a topic, where it stands in the title of the conversation or a list. */
async function topics(ann, mallory) {
  const baseline = await elements(ann);
  for (const entry of CORPUS.shown.filter((entry) => !entry.times && !entry.text.includes("\n"))) {
    const name = `topic-${CORPUS.shown.indexOf(entry)}`;
    await mallory.must("POST", "/v1/channels", { name, topic: entry.text });
  }
  await ann.at("open-channels").click();
  await ann.at("channel-row").first().waitFor();
  await eventually("the channels are listed", async () => (await ann.at("channel-row").count()) > 20);
  assert.deepEqual(await elements(ann), baseline, "topics");
  assert.equal(await ann.page.evaluate(() => window.pwned ?? null), null, "topics");
  const text = await ann.page.evaluate(() => document.body.innerText);
  assert.ok(!/[\u202e\u2066]/u.test(text), "topics turn nothing around");
}
