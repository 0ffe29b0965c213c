// Two people on two nodes: everything that people do with each other every day.

import assert from "node:assert/strict";

import { eventually } from "../stage/wait.mjs";

const OLD_MESSAGES = 130;

export async function play(stage) {
  const { password, ownerToken } = stage.director;
  const ann = await stage.person(1);
  await ann.signUp("ann", password, ownerToken);
  const ben = await stage.person(2);
  await ben.signUp("ben", password);
  assert.notEqual(await ann.servedBy(), await ben.servedBy(), "two people, two nodes");

  await talkDirectly(ann, ben);
  await talkInAChannel(ann, ben);
  await scrollUp(stage, ben);
  await change(ann, ben);
  await comeBack(ann, ben, password);
}

async function talkDirectly(ann, ben) {
  await ann.find("@ben");
  await ann.say("hello ben");
  await ann.seesSent("hello ben");
  await ben.unread("@ann", 1);
  await ben.open("@ann");
  await ben.sees("hello ben");
  await ben.unread("@ann", 0);
  await ben.say("hello ann");
  await ann.sees("hello ann");
  await ann.unread("@ben", 0);
}

async function talkInAChannel(ann, ben) {
  await ann.createChannel("general", { topic: "What everyone should know" });
  await ben.joinChannel("general");
  await ann.say("first line");
  await ben.sees("first line");
  await ben.say("second line");
  await ann.sees("second line");
  await ben.open("@ann");
  for (const text of ["three", "four", "five"]) await ann.say(text);
  await ben.unread("#general", 3);
  await ben.open("#general");
  await ben.sees("five");
  await ben.unread("#general", 0);
}

/** A long history loads as one scrolls, in order and without a gap. */
async function scrollUp(stage, ben) {
  const ann = await stage.account("ann").login();
  await ann.must("POST", "/v1/channels", { name: "long" });
  for (let number = 1; number <= OLD_MESSAGES; number += 1) await ann.send("#long", `line ${number}`);
  await ben.joinChannel("long");
  await ben.sees(`line ${OLD_MESSAGES}`);
  const before = await ben.shown();
  assert.ok(before.length < OLD_MESSAGES, "the whole history is not loaded at once");
  await ben.scrollToTheBeginning();
  const texts = await eventually("all lines are shown", async () => {
    const shown = (await ben.shown()).map(({ text }) => text);
    return shown.length === OLD_MESSAGES && shown;
  });
  assert.deepEqual(texts, Array.from({ length: OLD_MESSAGES }, (_, place) => `line ${place + 1}`));
}

/** Edit, delete for everyone, hide what someone else wrote. */
async function change(ann, ben) {
  await ben.open("#general");
  await ann.open("#general");
  await ann.message("three").hover();
  await ann.message("three").getByTestId("edit").click();
  await ann.at("composer").fill("three, mended");
  await ann.at("composer").press("Enter");
  await ben.sees("three, mended");
  await ann.sees("three, mended");
  assert.equal(await ben.message("three, mended").getAttribute("data-edited"), "true");

  await ann.message("four").hover();
  await ann.message("four").getByTestId("delete").click();
  await ann.confirm();
  for (const person of [ann, ben]) await person.message("four").waitFor({ state: "detached" });

  await ben.message("five").hover();
  await ben.message("five").getByTestId("delete").click();
  await ben.confirm();
  await ben.message("five").waitFor({ state: "detached" });
  await ann.sees("five");
}

/** A reload keeps the session; signing out ends it, and nothing is left on the screen. */
async function comeBack(ann, ben, password) {
  await ann.page.reload();
  await ann.isIn("ann");
  await ann.sees("three, mended");
  await ann.signOut();
  await ann.page.reload();
  await ann.at("sign-form").waitFor();
  await ben.say("are you there?");
  await ann.signIn("ann", password);
  await ann.unread("#general", 1);
  await ann.open("#general");
  await ann.sees("are you there?");
  assert.equal(await ann.message("four").count(), 0, "what was deleted stays deleted");
  await ben.page.reload();
  await ben.isIn("ben");
  await ben.open("#general");
  await ben.sees("are you there?");
  assert.equal(await ben.message("five").count(), 0, "what was hidden stays hidden");
}
