// How long a message takes from one browser to another: from the key press on one node's page until
// the text stands in the other's document. Both pages run in one browser, so they share a clock.

export async function play(stage) {
  const { password, ownerToken, settings } = stage.director;
  const ann = await stage.person(1);
  await ann.signUp("ann", password, ownerToken);
  await ann.createChannel("general");
  const ben = await stage.person(2);
  await ben.signUp("ben", password);
  await ben.joinChannel("general");
  await ann.page.evaluate(noteEnter);
  await ben.page.evaluate(noteArrivals);
  const samples = [];
  for (let number = 0; number < settings.warmUp + settings.messages; number += 1) {
    const text = `message ${number}`;
    await ann.say(text);
    const shown = await ben.page.evaluate((wanted) => window.arrival(wanted), text);
    const pressed = await ann.page.evaluate(() => window.pressed);
    if (number >= settings.warmUp) samples.push(shown - pressed);
  }
  return samples;
}

function noteEnter() {
  addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Enter") window.pressed = performance.timeOrigin + performance.now();
    },
    true,
  );
}

function noteArrivals() {
  const arrived = new Map();
  const waiting = new Map();
  const note = () => {
    const now = performance.timeOrigin + performance.now();
    const all = document.querySelectorAll('[data-testid="message-text"]');
    for (const { textContent } of [...all].slice(-3)) {
      if (arrived.has(textContent)) continue;
      arrived.set(textContent, now);
      waiting.get(textContent)?.(now);
    }
  };
  new MutationObserver(note).observe(document.body, { childList: true, subtree: true, characterData: true });
  window.arrival = (text) =>
    arrived.get(text) ?? new Promise((done) => waiting.set(text, done));
}
