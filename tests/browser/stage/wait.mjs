// Waiting is for a condition, with a deadline.

/** A condition that is not met within this time fails the scenario. */
export const PATIENCE_MS = 20_000;
const PAUSE_MS = 20;

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Wait until `condition` gives something truthy, and hand that back. */
export async function eventually(what, condition, patience_ms = PATIENCE_MS) {
  const deadline = Date.now() + patience_ms;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`not within ${patience_ms} ms: ${what}`);
    await pause(PAUSE_MS);
  }
}
