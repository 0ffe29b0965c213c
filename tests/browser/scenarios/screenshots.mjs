// The README's pictures: a small team in mid-conversation. Times on the pictures are those of the day
// they were taken on.

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { eventually } from "../stage/wait.mjs";

const TALK = [
  ["mira", "Morning! The new disks are in, node 2 goes first."],
  ["jonas", "Do we have to announce a downtime?"],
  ["mira", "No. Two of three are enough, the page moves over by itself."],
  ["ines", "I'll keep typing while you pull the plug, and see whether I notice \ud83d\ude42"],
  ["jonas", "Famous last words."],
  ["mira", "Node 2 is off."],
  ["ines", "\u2026 and I am still here. Did anyone see a gap?"],
  ["jonas", "Nothing. Everything once, everything in order:\n\n\tchatctl read '#operations' --limit 3"],
  ["ines", "Node 2 is back and has caught up. For the notes: https://wiki.example.org/disks"],
  ["mira", "Same again with node 3 after lunch."],
];

export async function play(stage) {
  const { password, ownerToken, settings } = stage.director;
  mkdirSync(settings.folder, { recursive: true });
  const people = { mira: await stage.account("mira").register(ownerToken) };
  for (const name of ["jonas", "ines"]) people[name] = await stage.account(name).register();
  const { mira, jonas, ines } = people;
  const channels = [
    ["announcements", "Once a week, at most"],
    ["operations", "What runs, what is down, who is on call"],
    ["random", "Everything else"],
  ];
  for (const [name, topic] of channels) {
    await mira.must("POST", "/v1/channels", { name, topic });
    for (const someone of [jonas, ines]) await someone.must("POST", `/v1/channels/${name}/join`);
  }
  await mira.send("#announcements", "The cluster has a third node since yesterday.");
  await ines.send("#random", "Who took my mug?");
  await jonas.send("#random", "It's in the server room. Don't ask.");
  await ines.send("@jonas", "Coffee at three?");
  await jonas.send("@ines", "Gladly.");
  for (const [name, text] of TALK) await people[name].send("#operations", text);
  for (const [place, seq] of [["channels/operations", TALK.length], ["channels/announcements", 1], ["direct/ines", 2]]) {
    await jonas.must("POST", `/v1/${place}/read`, { upto: seq });
  }
  await mira.send("@jonas", "Could you take the pager on Friday?");

  await shoot(stage, 1, { dark: false }, join(settings.folder, "conversation.png"), async (seat) => {
    await seat.open("#operations");
    await seat.sees(TALK.at(-1)[1]);
  });
  await shoot(stage, 3, { dark: true }, join(settings.folder, "cluster.png"), async (seat) => {
    await seat.at("open-cluster").click();
    await eventually("all nodes are seen", async () => {
      const seen = await seat.at("node-row").evaluateAll((rows) => rows.map(({ dataset }) => dataset.reachable));
      return seen.length === 3 && seen.every((reachable) => reachable === "true");
    });
  });
}

async function shoot(stage, node, look, path, arrange) {
  const seat = await stage.person(node, look);
  await seat.signIn("jonas", stage.director.password);
  await arrange(seat);
  await seat.page.mouse.move(0, 0);
  await seat.page.screenshot({ path, animations: "disabled", caret: "hide" });
  await seat.page.context().close();
}
