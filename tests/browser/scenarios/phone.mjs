// A phone: one pane at a time, everything within the width, fingers instead of a mouse.

import assert from "node:assert/strict";

import { eventually } from "../stage/wait.mjs";

export async function play(stage) {
  const { password, ownerToken } = stage.director;
  const owner = await stage.account("owner").register(ownerToken);
  await owner.must("POST", "/v1/channels", { name: "general" });
  await owner.send("#general", `a word of ${"w".repeat(2_000)}`);
  await owner.send("#general", "hello from the desk");

  const ann = await stage.person(3, { phone: true });
  await fits(ann, "signing in");
  await ann.signUp("ann", password);
  await fits(ann, "an empty list");
  await ann.joinChannel("general");
  await ann.sees("hello from the desk");
  await fits(ann, "a conversation");
  assert.equal(await ann.at("sidebar").isVisible(), false, "one pane at a time");

  await ann.at("composer").fill("hello from the train");
  await ann.at("send").tap();
  await ann.seesSent("hello from the train");
  await ann.at("conversation-pane").getByTestId("back").tap();
  await eventually("the list is back", () => ann.row("#general").isVisible());
  assert.equal(await ann.at("composer").isVisible(), false, "one pane at a time");
  await fits(ann, "the list");

  await owner.send("#general", "still there?");
  await ann.unread("#general", 1);
  await ann.row("#general").tap();
  await ann.sees("still there?");
  await ann.page.goBack();
  await eventually("the phone's own way back works", () => ann.row("#general").isVisible());
}

/** Nothing is wider than the screen, and what one can press can be hit. */
async function fits(ann, what) {
  const wide = await ann.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(wide <= 0, `${what}: ${wide} pixels too wide`);
  const small = await ann.page.evaluate(() =>
    [...document.querySelectorAll("button")]
      .map((button) => ({ name: button.textContent || button.ariaLabel, box: button.getBoundingClientRect() }))
      .filter(({ box }) => box.width > 0 && (box.width < 24 || box.height < 24))
      .map(({ name, box }) => `${name}: ${box.width} x ${box.height}`),
  );
  assert.deepEqual(small, [], `${what}: too small for a finger`);
}
