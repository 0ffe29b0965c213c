// Headless Chromium with people in front of it.
//
// What always holds: every person has a profile of their own; whatever a page does wrong is kept and
// fails the scenario at its end (`check`); the browser accepts the nodes' own certificates and no other
// that it would not accept anyway.

import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

import { Account } from "./account.mjs";
import { Person } from "./person.mjs";
import { PATIENCE_MS } from "./wait.mjs";

const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

const FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// What a browser itself writes when a node cannot be reached: no page can keep it from doing so.
const UNREACHABLE = [
  /^Failed to load resource: net::ERR_/,
  /^WebSocket connection to '.*' failed: /,
  /^Failed to load resource: the server responded with a status of 50[34] /,
];
// The first visit: the page asks for a token with a cookie that is not there.
const SIGNED_OUT = /^Failed to load resource: the server responded with a status of 401 /;

export class Stage {
  problems = [];
  people = [];
  #allowed = [];

  static async open(director) {
    const stage = new Stage();
    stage.director = director;
    const keys = director.nodes.map(({ certificate }) => keyHash(certificate)).join(",");
    stage.browser = await chromium.launch({
      executablePath: director.chromium,
      args: [...FLAGS, `--ignore-certificate-errors-spki-list=${keys}`],
      chromiumSandbox: false,
    });
    return stage;
  }

  /** A person at a screen, with the page of `node` open. */
  async person(node, { phone = false, dark = false, scale = 1 } = {}) {
    const page = await this.page({
      viewport: phone ? PHONE : WIDE,
      hasTouch: phone,
      isMobile: phone,
      deviceScaleFactor: scale,
      colorScheme: dark ? "dark" : "light",
    });
    const person = new Person(page, this.director.url(node));
    this.people.push(person);
    await person.visit();
    return person;
  }

  /** A window with a fresh profile, and an eye on what it does. */
  async page(look) {
    const context = await this.browser.newContext({
      ...look,
      locale: "en-GB",
      timezoneId: "UTC",
      reducedMotion: "reduce",
    });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    this.#watch(page);
    return page;
  }

  /** An account that talks to the API without a browser. */
  account(name, ...nodes) {
    const urls = (nodes.length > 0 ? nodes : this.director.nodes.map(({ id }) => id)).map((id) =>
      this.director.url(id),
    );
    return new Account(name, this.director.password, urls);
  }

  /** Nodes are about to die: what the browser says about that is no fault of the page. */
  nodesMayDie() {
    this.#allowed.push(...UNREACHABLE);
  }

  /** A refusal is part of the scenario: the browser writes each to the console. */
  mayBeRefused(...statuses) {
    for (const status of statuses) {
      this.#allowed.push(new RegExp(`^Failed to load resource: .* status of ${status} `));
    }
  }

  /** The scenario itself tries what the content security policy forbids. */
  mayViolate() {
    this.#allowed.push(/Content Security Policy|TrustedHTML|TrustedScript/);
  }

  #watch(page) {
    const origins = new Set(
      this.director.nodes.flatMap(({ url }) => [url, url.replace("https", "wss")]),
    );
    const strange = (url) => /^(https?|wss?):/.test(url) && !origins.has(new URL(url).origin);
    page.on("console", (message) => {
      if (message.type() !== "error") return;
      const text = message.text();
      const isFirstVisit = SIGNED_OUT.test(text) && message.location().url.endsWith("/v1/token");
      if (isFirstVisit || this.#allowed.some((known) => known.test(text))) return;
      this.problems.push(`console: ${text} (${message.location().url})`);
    });
    page.on("pageerror", (error) => this.problems.push(`thrown: ${error.stack ?? error}`));
    page.on("crash", () => this.problems.push("the page crashed"));
    page.on("popup", (popup) => this.problems.push(`opened ${popup.url()}`));
    page.on("dialog", (dialog) => {
      this.problems.push(`dialog: ${dialog.message()}`);
      return dialog.dismiss();
    });
    page.on("request", (request) => {
      if (strange(request.url())) this.problems.push(`asked ${request.url()}`);
    });
    page.on("websocket", (socket) => {
      if (strange(socket.url())) this.problems.push(`connected to ${socket.url()}`);
    });
  }

  /** Fails if any page did something wrong. */
  check() {
    if (this.problems.length > 0) throw new Error(`on a page:\n${this.problems.join("\n")}`);
  }

  /** What happened, with a picture of every screen. */
  async report(scenario, error) {
    console.error(error.stack ?? error);
    if (this.problems.length > 0) console.error(this.problems.join("\n"));
    for (const [place, { page, name }] of this.people.entries()) {
      const path = `/tmp/holdfast-${scenario}-${process.pid}-${place}.png`;
      const taken = await page.screenshot({ path, timeout: 5_000 }).catch((failed) => failed);
      console.error(`${name ?? place}: ${page.url()}: ${taken instanceof Error ? taken : path}`);
    }
  }

  async close() {
    await this.browser.close();
  }
}

/** The hash by which Chromium knows a certificate's key. */
function keyHash(certificate) {
  const { publicKey } = new X509Certificate(readFileSync(certificate));
  const key = publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("base64");
}
