// For everyone: axe holds every view, light and dark, wide and on a phone, to WCAG 2.1 AA and good use:
// names and landmarks for screen readers, what keyboards reach, colours that differ enough.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export async function play(stage) {
  const { password, ownerToken } = stage.director;
  const ben = await stage.account("ben").register(ownerToken);
  await ben.must("POST", "/v1/channels", { name: "general", topic: "What everyone should know" });
  const { id } = await ben.send("#general", "an old message");
  await ben.send("#general", "hello, see https://example.org/");
  await ben.must("DELETE", `/v1/messages/${id}`);
  const looks = [{}, { dark: true }, { dark: true, phone: true }];
  const found = [];
  for (const [place, look] of looks.entries()) {
    const seat = await stage.person(place + 1, look);
    const check = async (view) => found.push(...(await violations(seat, `${JSON.stringify(look)} ${view}`)));
    await check("signing in");
    const name = `ann-${place}`;
    await seat.signUp(name, password);
    await check("an empty list");
    await ben.send(`@${name}`, "unread");
    await seat.at("open-channels").click();
    await seat.at("channel-row").first().waitFor();
    await check("the channels");
    await seat.page.getByTestId("channel-join").first().click();
    await seat.isAt("#general");
    await seat.say("mine");
    await seat.seesSent("mine");
    await check("a conversation");
    await seat.at("members").click();
    await seat.at("member").first().waitFor();
    await check("the members");
    await seat.page.keyboard.press("Escape");
    await seat.page.goto(`${seat.url}/#/cluster`);
    await seat.at("node-row").first().waitFor();
    await check("the cluster");
    await seat.page.goto(`${seat.url}/#/account`);
    await seat.at("session-row").first().waitFor();
    await check("the account");
    await seat.page.context().close();
  }
  assert.ok(found.length === 0, found.join("\n"));
}

async function violations(seat, view) {
  await seat.page.evaluate(AXE);
  const { violations } = await seat.page.evaluate(() =>
    axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }),
  );
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${view}: ${id}: ${html.slice(0, 160)}: ${failureSummary.replace(/\s+/g, " ")}`),
  );
}
