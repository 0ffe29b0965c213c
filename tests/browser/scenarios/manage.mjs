// What one does now and then: a private channel with invited members, leaving it, a new password, and
// the same account on two screens; then someone else at the same screen.

import assert from "node:assert/strict";

import { eventually } from "../stage/wait.mjs";

const NEW_PASSWORD = "another horse entirely";

export async function play(stage) {
  const { password, ownerToken } = stage.director;
  const ann = await stage.person(1);
  await ann.signUp("ann", password, ownerToken);
  const ben = await stage.account("ben", 2).register();
  await members(stage, ann, ben);
  await keyboard(ann, ben);
  await twoScreens(stage, ann, ben);
}

/** A private channel: nobody sees it but who was invited; who leaves it sees it no more. */
async function members(stage, ann, ben) {
  await ann.createChannel("secret", { isPrivate: true });
  await ann.say("between us");
  await ann.seesSent("between us");
  assert.equal((await ben.call("GET", "/v1/channels/secret")).status, 404);
  stage.mayBeRefused(404, 422);
  await ann.at("members").click();
  await ann.at("invite-name").fill("nobody-of-that-name");
  await ann.at("invite-submit").click();
  await ann.at("members-error").waitFor();
  await ann.at("invite-name").fill("ben");
  await ann.at("invite-submit").click();
  await ann.page.locator('[data-testid="member"][data-user="ben"]').waitFor();
  await ann.page.keyboard.press("Escape");
  await ann.at("members-dialog").waitFor({ state: "hidden" });
  assert.deepEqual((await ben.history("#secret")).map(({ text }) => text), ["between us"]);
  await ann.createChannel("brief");
  await ann.at("leave").click();
  await ann.confirm();
  await ann.row("#brief").waitFor({ state: "detached" });
}

/** Everything by keyboard: find a person, write two lines, mend the last message, give up mending. */
async function keyboard(ann, ben) {
  const { keyboard } = ann.page;
  await keyboard.press("Control+k");
  await ann.at("finder-input").waitFor();
  await keyboard.type("ben");
  await ann.page.locator('[data-testid="finder-item"][data-target="@ben"]').waitFor();
  await keyboard.press("Enter");
  await ann.isAt("@ben");
  await ann.at("composer").and(ann.page.locator(":focus")).waitFor();
  await keyboard.type("one line");
  await keyboard.press("Shift+Enter");
  await keyboard.type("and another");
  await keyboard.press("Enter");
  await eventually("both lines are one message", async () => {
    const [message] = await ben.history("@ann");
    return message?.text === "one line\nand another";
  });
  await ann.page.locator('[data-testid="message"][data-state="sent"]').waitFor();
  await keyboard.press("ArrowUp");
  await ann.at("editing").waitFor();
  await keyboard.type(", mended");
  await keyboard.press("Enter");
  await ann.sees("one line\nand another, mended");
  await keyboard.press("ArrowUp");
  await keyboard.press("Escape");
  await ann.at("editing").waitFor({ state: "hidden" });
  assert.equal(await ann.at("composer").inputValue(), "", "a mend given up leaves nothing behind");
}

/** Two screens of one account agree on what is read; a new password ends the other session at once. */
async function twoScreens(stage, ann, ben) {
  const { password } = stage.director;
  const other = await stage.person(3);
  await other.signIn("ann", password);
  await ann.open("#secret");
  await ben.send("@ann", "for both screens");
  await ann.unread("@ben", 1);
  await other.unread("@ben", 1);
  await other.open("@ben");
  await other.sees("for both screens");
  await ann.unread("@ben", 0);

  stage.mayBeRefused(401, 403);
  await ann.at("me").click();
  await eventually("both sessions are listed", async () => (await ann.at("session-row").count()) === 2);
  await ann.at("password-current").fill("not the password");
  await ann.at("password-new").fill(NEW_PASSWORD);
  await ann.at("password-submit").click();
  await ann.at("password-error").waitFor();
  await ann.at("password-current").fill(password);
  await ann.at("password-submit").click();
  await ann.at("password-done").waitFor();
  await other.at("sign-form").waitFor();
  await eventually("one session is left", async () => (await ann.at("session-row").count()) === 1);
  await ann.open("@ben");
  await ann.say("still here");
  await ann.seesSent("still here");
  await other.signIn("ann", NEW_PASSWORD);
  await other.open("@ben");
  await other.sees("still here");
  await handOver(stage, other);
}

/** Who signs in after another finds nothing of theirs. */
async function handOver(stage, seat) {
  await seat.at("composer").fill("never sent");
  await seat.signOut();
  await seat.signUp("cara", stage.director.password);
  await seat.row("@ben").waitFor({ state: "detached" });
  await seat.find("@ben");
  assert.equal(await seat.at("composer").inputValue(), "");
  assert.deepEqual(await seat.shown(), []);
  await seat.at("open-channels").click();
  await seat.page.locator('[data-testid="channel-row"][data-channel="brief"]').waitFor();
  assert.equal(await seat.page.locator('[data-testid="channel-row"][data-channel="secret"]').count(), 0);
}
