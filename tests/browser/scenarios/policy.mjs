// The browser holds the page to its policy: what a hostile text would have to do is refused, even if
// the page's own code were to do it.

import assert from "node:assert/strict";

export async function play(stage) {
  const page = await stage.page({});
  await page.goto(stage.director.url(1));
  stage.mayViolate();
  const outcomes = await page.evaluate(attempts);
  assert.deepEqual(outcomes, {
    markup: "TypeError",
    evaluated: "EvalError",
    inline: "not run",
    style: "not applied",
    base: "not moved",
    elsewhere: "TypeError",
    token: "no cookie to be seen",
  });
}

async function attempts() {
  const outcome = async (attempt) => {
    try {
      return await attempt();
    } catch (error) {
      return error.name;
    }
  };
  const add = (kind, fill) => {
    const element = document.createElement(kind);
    fill(element);
    document.head.append(element);
    return element;
  };
  // What the debugger evaluates may evaluate; what a timer calls is the page's own.
  await new Promise((called) => setTimeout(called));
  return {
    markup: await outcome(() => {
      document.body.innerHTML = "<img src=x onerror=window.pwned=1>";
      return "written";
    }),
    evaluated: await outcome(() => Function("window.pwned=2")() ?? "run"),
    inline: await outcome(() => {
      document.body.setAttribute("onclick", "window.pwned=3");
      document.body.click();
      return window.pwned === 3 ? "run" : "not run";
    }).then((name) => (name === "TypeError" ? "not run" : name)),
    style: await outcome(() => {
      add("style", (style) => style.append("body { opacity: 0.5 }"));
      return getComputedStyle(document.body).opacity === "0.5" ? "applied" : "not applied";
    }),
    base: await outcome(() => {
      add("base", (base) => (base.href = "https://evil.example/"));
      return document.baseURI.includes("evil") ? "moved" : "not moved";
    }),
    elsewhere: await outcome(() => fetch("https://evil.example/").then(() => "asked")),
    token: document.cookie === "" ? "no cookie to be seen" : document.cookie,
  };
}
