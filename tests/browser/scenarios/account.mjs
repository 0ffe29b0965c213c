// Accounts are deleted: one leaves its messages, the other takes them along; both names stay taken.

import assert from "node:assert/strict";

export async function play(stage) {
  const { password, ownerToken } = stage.director;
  const owner = await stage.account("owner").register(ownerToken);
  await owner.must("POST", "/v1/channels", { name: "general" });
  const ann = await stage.person(1);
  await ann.signUp("ann", password);
  await ann.joinChannel("general");
  await leave(stage, ann, { name: "keeper", erase: false });
  await leave(stage, ann, { name: "eraser", erase: true });
}

/** Someone talks to Ann, from another node, and deletes the account. */
async function leave(stage, ann, { name, erase }) {
  const { password } = stage.director;
  const someone = await stage.person(2);
  await someone.signUp(name, password);
  await someone.joinChannel("general");
  const open = `${name} was here`;
  const direct = `only for ann, says ${name}`;
  await someone.say(open);
  await someone.seesSent(open);
  await someone.find("@ann");
  await someone.say(direct);
  await someone.seesSent(direct);
  await ann.open("#general");
  await ann.sees(open);

  await someone.open("#general");
  await ann.find(`@${name}`);
  await ann.say("never read");
  await ann.seesSent("never read");

  stage.mayBeRefused(401, 403, 409);
  await someone.unread("@ann", 1);
  await someone.at("me").click();
  await someone.at("account-delete").click();
  await someone.at("delete-unread").filter({ hasText: /\b1\b/ }).waitFor();
  await someone.at("delete-password").fill("not the password");
  if (erase) await someone.at("delete-erase").check();
  await someone.at("delete-submit").click();
  await someone.at("delete-error").waitFor();
  await someone.at("delete-password").fill(password);
  await someone.at("delete-submit").click();
  await someone.at("sign-form").waitFor();

  await ann.open("#general");
  if (erase) {
    await ann.message(open).waitFor({ state: "detached" });
  } else {
    await ann.page
      .locator('[data-testid="message"][data-author="deleted user"]')
      .filter({ hasText: open })
      .waitFor();
  }
  await ann.page.reload();
  await ann.isIn("ann");
  await ann.isAt("#general");
  await ann.scrollToTheBeginning();
  const shown = (await ann.shown()).filter(({ text }) => text === open);
  assert.deepEqual(shown.map(({ author }) => author), erase ? [] : ["deleted user"]);
  await isTaken(someone, name, password);
  await someone.page.context().close();
}

/** Nobody signs in with it, and nobody gets the name. */
async function isTaken(someone, name, password) {
  await someone.at("sign-tab-in").click();
  await someone.at("sign-name").fill(name);
  await someone.at("sign-password").fill(password);
  await someone.at("sign-in").click();
  await someone.at("sign-error").and(someone.page.locator("[data-code]")).waitFor();
  await someone.at("sign-tab-up").click();
  await someone.at("sign-name").fill(name);
  await someone.at("sign-password").fill(password);
  await someone.at("sign-up").click();
  await someone.page.locator('[data-testid="sign-error"][data-code="name_taken"]').waitFor();
}
