// An account without a browser: what is said through the API, and what the API says was said.

import { eventually } from "./wait.mjs";

const ITEMS_MAX = 200;

export class Account {
  constructor(name, password, urls) {
    Object.assign(this, { name, password, urls, token: null });
  }

  /** One request; nodes that are down or have no leader are passed over. */
  async call(method, path, body, key = uuid7()) {
    let answer;
    await eventually(`${method} ${path} is answered`, async () => {
      answer = await this.#attempt(method, path, body, key).catch(() => null);
      if (answer === null || answer.status === 503 || answer.status === 504) {
        this.urls.push(this.urls.shift());
        return false;
      }
      return true;
    });
    const text = await answer.text();
    const json = text === "" ? null : JSON.parse(text);
    return { status: answer.status, json };
  }

  async #attempt(method, path, body, key) {
    const headers = { "idempotency-key": key };
    if (this.token !== null) headers.authorization = `Bearer ${this.token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    const signal = AbortSignal.timeout(5_000);
    const text = body === undefined ? undefined : JSON.stringify(body);
    return fetch(this.urls[0] + path, { method, headers, body: text, signal });
  }

  /** The same, where anything but success is a failure of the scenario. */
  async must(method, path, body) {
    const { status, json } = await this.call(method, path, body);
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(json)}`);
    return json;
  }

  async register(invite) {
    const { name, password } = this;
    this.token = (await this.must("POST", "/v1/register", { name, password, invite })).token;
    return this;
  }

  async login() {
    const { name, password } = this;
    this.token = (await this.must("POST", "/v1/login", { name, password })).token;
    return this;
  }

  send(to, text, more = {}) {
    return this.must("POST", "/v1/messages", { to, text, ...more });
  }

  /** Everything in a conversation, oldest first. */
  async history(conversation) {
    const name = conversation.slice(1);
    const place = conversation.startsWith("#") ? `channels/${name}` : `direct/${name}`;
    const all = [];
    for (;;) {
      const after = all.at(-1)?.seq ?? 0;
      const query = `after=${after}&limit=${ITEMS_MAX}`;
      const { items, more_after } = await this.must("GET", `/v1/${place}/messages?${query}`);
      all.push(...items);
      if (!more_after) return all;
    }
  }

  /** The leader that a node knows. */
  leader() {
    return eventually("a leader is known", async () => (await this.must("GET", "/v1/cluster")).leader);
  }
}

/** A request id: the time in milliseconds, then chance. */
export function uuid7() {
  const time = Date.now().toString(16).padStart(12, "0");
  const chance = crypto.randomUUID();
  return `${time.slice(0, 8)}-${time.slice(8)}-7${chance.slice(15)}`;
}
