// A person in front of the page: finds things as people do, or by the page's `data-testid`.

import { eventually } from "./wait.mjs";

export class Person {
  constructor(page, url) {
    Object.assign(this, { page, url, name: null });
  }

  at(testid) {
    return this.page.getByTestId(testid);
  }

  async visit() {
    await this.page.goto(this.url);
    await this.page.locator('[data-testid="sign-form"], [data-testid="app"]').first().waitFor();
  }

  async signUp(name, password, invite) {
    await this.at("sign-tab-up").click();
    await this.at("sign-name").fill(name);
    await this.at("sign-password").fill(password);
    if (invite !== undefined) await this.at("sign-invite").fill(invite);
    await this.at("sign-up").click();
    await this.isIn(name);
  }

  async signIn(name, password) {
    await this.at("sign-tab-in").click();
    await this.at("sign-name").fill(name);
    await this.at("sign-password").fill(password);
    await this.at("sign-in").click();
    await this.isIn(name);
  }

  async isIn(name) {
    this.name = name;
    await this.page.locator(`[data-testid="app"][data-user="${name}"]`).waitFor();
    await this.isConnected();
  }

  async isConnected() {
    await this.page.locator('[data-testid="banner"][data-state="connected"]').waitFor({ state: "attached" });
  }

  /** The node that the page talks to. */
  async servedBy() {
    const node = await eventually("the page knows its node", () =>
      this.at("banner").getAttribute("data-node"),
    );
    return Number(node);
  }

  /** The page has moved on, and says so. */
  async isServedByAnother(dead) {
    await eventually(`${this.name}'s page leaves node ${dead}`, async () => {
      const banner = this.at("banner");
      const isConnected = (await banner.getAttribute("data-state")) === "connected";
      return isConnected && (await banner.getAttribute("data-node")) !== String(dead);
    });
  }

  async signOut() {
    await this.at("me").click();
    await this.at("sign-out").click();
    await this.at("sign-form").waitFor();
  }

  async createChannel(name, { topic = "", isPrivate = false } = {}) {
    await this.at("create-channel").click();
    await this.at("channel-name").fill(name);
    if (topic !== "") await this.at("channel-topic").fill(topic);
    if (isPrivate) await this.at("channel-private").check();
    await this.at("channel-submit").click();
    await this.isAt(`#${name}`);
  }

  async joinChannel(name) {
    await this.at("open-channels").click();
    const row = this.page.locator(`[data-testid="channel-row"][data-channel="${name}"]`);
    await row.getByTestId("channel-join").click();
    await this.isAt(`#${name}`);
  }

  /** By the finder: for conversations that are not in the list yet. */
  async find(conversation) {
    await this.at("open-finder").click();
    await this.at("finder-input").fill(conversation);
    await this.page.locator(`[data-testid="finder-item"][data-target="${conversation}"]`).click();
    await this.isAt(conversation);
  }

  row(conversation) {
    return this.page.locator(`[data-testid="conversation"][data-conversation="${conversation}"]`);
  }

  async open(conversation) {
    await this.row(conversation).click();
    await this.isAt(conversation);
  }

  async isAt(conversation) {
    const pane = `[data-testid="conversation-pane"][data-conversation="${conversation}"]`;
    await this.page.locator(pane).waitFor();
  }

  async say(text) {
    await this.at("composer").fill(text);
    await this.at("composer").press("Enter");
  }

  /** The messages whose text is `text`, edited or not. */
  message(text) {
    const whole = new RegExp(`^\\s*${escape(text)}( \\(edited\\))?\\s*$`);
    const body = this.at("message-text").filter({ hasText: whole });
    return this.at("message").filter({ has: body });
  }

  async sees(text) {
    await this.message(text).first().waitFor();
  }

  async seesSent(text) {
    await this.page
      .locator('[data-testid="message"][data-state="sent"]')
      .filter({ hasText: text })
      .first()
      .waitFor();
  }

  async unread(conversation, count) {
    const row = this.row(conversation);
    await eventually(`${this.name}: ${count} unread in ${conversation}`, async () => {
      return (await row.getAttribute("data-unread")) === String(count);
    });
    const shown = row.getByTestId("unread");
    if (count === 0) await shown.waitFor({ state: "detached" });
    else await shown.getByText(String(count)).waitFor();
  }

  /** What the open conversation shows, top to bottom, as far as it is loaded. */
  shown() {
    return this.at("messages").evaluate((log) =>
      [...log.querySelectorAll('[data-testid="message"]')].map((message) => ({
        seq: Number(message.dataset.seq ?? 0),
        id: message.dataset.id ?? null,
        state: message.dataset.state,
        author: message.dataset.author,
        deleted: message.dataset.deleted === "true",
        text: message.querySelector('[data-testid="message-text"]')?.textContent ?? null,
      })),
    );
  }

  /** Scroll up until the first message is loaded. */
  async scrollToTheBeginning() {
    const log = this.at("messages");
    await eventually(`${this.name}: the beginning is loaded`, async () => {
      if ((await log.getAttribute("data-more-before")) === "false") return true;
      await log.hover();
      await this.page.mouse.wheel(0, -2_000);
      return false;
    });
  }

  async confirm() {
    await this.at("confirm-dialog").getByTestId("confirm").click();
  }
}

function escape(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
