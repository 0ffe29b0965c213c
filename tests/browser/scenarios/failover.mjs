// Nodes die in mid-conversation: nobody signs in again, and at the end every screen shows what the
// log holds: every message once, in one order.

import assert from "node:assert/strict";

import { eventually } from "../stage/wait.mjs";

const ROOM = "#general";
const DRAFT = "a thought that is not finished";

export async function play(stage) {
  const { director } = stage;
  stage.nodesMayDie();
  const ann = await stage.person(1);
  await ann.signUp("ann", director.password, director.ownerToken);
  await ann.createChannel("general");
  const ben = await stage.person(2);
  await ben.signUp("ben", director.password);
  await ben.joinChannel("general");
  const watcher = await stage.account("ann").login();
  const said = [];
  const talk = async (round) => {
    for (const number of [1, 2, 3]) {
      for (const person of [ann, ben]) {
        const text = `${person.name}, ${round}, ${number}`;
        await person.say(text);
        said.push(text);
      }
    }
  };
  const heard = async () => {
    for (const person of [ann, ben]) for (const text of said) await person.seesSent(text);
  };

  await talk("before");
  await heard();

  const serving = await ann.servedBy();
  await ann.say("the last words before the node dies");
  said.push("the last words before the node dies");
  await ann.at("composer").fill(DRAFT);
  await director.kill(serving);
  await ann.isServedByAnother(serving);
  assert.equal(await ann.at("composer").inputValue(), DRAFT, "a draft outlives its node");
  await talk("without the serving node");
  await heard();
  await director.start(serving);

  const leader = await watcher.leader();
  await director.kill(leader);
  await ben.say("who leads now?");
  said.push("who leads now?");
  await eventually("another one leads", async () => (await watcher.leader()) !== leader);
  await ben.seesSent("who leads now?");
  await talk("without the leader");
  await heard();
  await director.start(leader);

  await withoutQuorum(stage, ann, ben, said);
  await heard();
  await agree(watcher, ann, ben, said);
}

/** Two of three are dead: what is said waits, and goes out once when they are back. */
async function withoutQuorum({ director }, ann, ben, said) {
  const dead = director.nodes.map(({ id }) => id).filter((id) => id !== 3);
  for (const node of dead) await director.kill(node);
  await ann.say("said to nobody");
  await ben.say("nor here");
  said.push("said to nobody", "nor here");
  for (const [person, text] of [[ann, "said to nobody"], [ben, "nor here"]]) {
    await person.sees(text);
    const state = await person.message(text).getAttribute("data-state");
    assert.ok(state === "pending" || state === "failed", `${text}: ${state}`);
  }
  await ann.page.locator('[data-testid="banner"]:not([data-state="connected"])').waitFor({ state: "attached" });
  for (const node of dead) await director.spawn(node);
  for (const person of [ann, ben]) {
    await person.isConnected();
    await eventually(`${person.name} has sent everything`, async () => {
      const retry = person.at("retry").first();
      if (await retry.isVisible()) await retry.click();
      return (await person.shown()).every(({ state }) => state === "sent");
    });
  }
}

/** Both screens and the API: the same messages in the same order, and exactly those that were sent. */
async function agree(watcher, ann, ben, said) {
  const history = await watcher.history(ROOM);
  assert.deepEqual(history.map(({ text }) => text).sort(), [...said].sort(), "each once");
  assert.deepEqual(history.map(({ seq }) => seq), history.map((_, place) => place + 1), "no gap");
  for (const name of ["ann", "ben"]) {
    const own = (text) => text.startsWith(`${name}, `);
    assert.deepEqual(history.map(({ text }) => text).filter(own), said.filter(own), `${name}'s order`);
  }
  for (const person of [ann, ben]) {
    const wanted = history.map(({ id, seq, author, text }) => ({ id, seq, author, text }));
    const shown = (await person.shown()).map(({ id, seq, author, text }) => ({ id, seq, author, text }));
    assert.deepEqual(shown, wanted, `${person.name}'s screen`);
  }
}
