// Plays one scenario: `node run.mjs NAME`, started by the browser tests, which speak to it in lines
// of JSON (see tests/src/browser.rs). Everything it has to say to a person goes to stderr.

import { Director } from "./stage/director.mjs";
import { Stage } from "./stage/stage.mjs";

const name = process.argv[2];
const { play } = await import(`./scenarios/${name}.mjs`);
const director = await Director.take();
const stage = await Stage.open(director);
let found = null;
try {
  found = (await play(stage)) ?? null;
  stage.check();
} catch (error) {
  process.exitCode = 1;
  await stage.report(name, error);
} finally {
  await stage.close();
}
if (process.exitCode !== 1) await director.ask({ do: "done", value: found });
director.leave();
