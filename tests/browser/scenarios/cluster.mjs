// The cluster view: who leads, what is survived, and that a node is dead, within seconds.

import assert from "node:assert/strict";

import { eventually } from "../stage/wait.mjs";

const SEEN_WITHIN_MS = 6_000;
// The page asks every node before it gives up on all of them.
const SILENCE_SEEN_WITHIN_MS = 10_000;

export async function play(stage) {
  const { director } = stage;
  const ann = await stage.person(1);
  await ann.signUp("ann", director.password, director.ownerToken);
  await ann.at("open-cluster").click();
  await ann.at("cluster-view").waitFor();
  const row = (node) => ann.page.locator(`[data-testid="node-row"][data-node="${node}"]`);
  const rows = () =>
    ann.at("node-row").evaluateAll((found) =>
      found.map(({ dataset }) => `${dataset.node} ${dataset.role} ${dataset.reachable}`),
    );
  const roles = (wanted) => async () => {
    const found = (await rows()).map((text) => text.split(" ").slice(1).join(" ")).sort();
    return JSON.stringify(found) === JSON.stringify([...wanted].sort());
  };
  await eventually("one leads two", roles(["leader true", "follower true", "follower true"]));
  assert.equal(await row(1).getAttribute("data-connected"), "true");
  assert.equal(await ann.at("picture-node").count(), 3);
  assert.match(await ann.at("survives").innerText(), /any 1 node|any one node|1 node/i);
  const leader = Number(
    await ann.page.locator('[data-testid="node-row"][data-role="leader"]').getAttribute("data-node"),
  );
  assert.match(await ann.at("cluster-leader").innerText(), new RegExp(String(leader)));
  assert.match(await ann.at("cluster-term").innerText(), /\d/);

  const [follower] = [2, 3].filter((node) => node !== leader);
  const operator = await stage.account("ann").login();
  const drain = `/v1/admin/cluster/nodes/${follower}/drain`;
  assert.ok(!(await ann.at("remarks").isVisible()), "all is well");
  await operator.must("POST", drain);
  await eventually("the drained one is told of", async () => {
    const text = await ann.at("remarks").innerText();
    return text.includes(`chatctl cluster drain ${follower} --undo`) && /drained/.test(await row(follower).innerText());
  });
  await operator.must("DELETE", drain);
  await eventually("nothing is left to remark", async () => !(await ann.at("remarks").isVisible()));

  stage.nodesMayDie();
  await director.kill(follower);
  await eventually(
    `node ${follower} is shown as dead`,
    async () => (await row(follower).getAttribute("data-reachable")) === "false",
    SEEN_WITHIN_MS,
  );
  const picture = `[data-testid="picture-node"][data-node="${follower}"][data-reachable="false"]`;
  await ann.page.locator(picture).waitFor();
  await eventually("no loss is survived any more", async () => {
    return !/any 1 node|any one node/i.test(await ann.at("survives").innerText());
  });
  await director.start(follower);
  await eventually("all are back", roles(["leader true", "follower true", "follower true"]));

  await director.kill(leader);
  await ann.isConnected();
  await eventually("another one leads", roles(["leader true", "follower true", "absent false"]), 10_000).catch(
    async () => assert.fail(`after the leader's death: ${await rows()}`),
  );

  for (const node of [1, 2, 3].filter((node) => node !== leader)) await director.kill(node);
  await eventually(
    "nobody is shown as alive",
    async () => (await rows()).every((text) => text.endsWith(" false")),
    SILENCE_SEEN_WITHIN_MS,
  ).catch(async () => assert.fail(`after everyone's death: ${await rows()}`));
  for (const node of [1, 2, 3]) await director.spawn(node);
  await ann.isConnected();
  await eventually("all are back from the dead", roles(["leader true", "follower true", "follower true"]));
}
