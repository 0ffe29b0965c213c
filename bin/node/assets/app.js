// The page at work: it joins what is known (`store`), the nodes (`api`, `socket`) and whoever looks
// (`view`). Views call it and are told when something is different; they hold no state of the chat.

import { Api, ApiError, isPassing, pause } from './api.js';
import { Marks } from './marks.js';
import { Nodes } from './nodes.js';
import { Pulse } from './pulse.js';
import { path, routeOf } from './route.js';
import { Live } from './socket.js';
import { Store } from './store.js';
import { Clock, Ids } from './uuid7.js';

const PAGE = 50;
const RESEND_MS = 400;
/** Between two questions for the list: no fault of the page may keep a node busy. */
const REFRESH_MS = 500;
const REFRESH_AGAIN_MS = 1_000;
const LOAD_AGAIN_MS = 1_000;
const GONE = 'This account is deleted. What was written stays here.';

export class App {
  /** @param {{own: string, nodes: string[]}} where */
  constructor({ own, nodes }) {
    this.clock = new Clock();
    this.ids = new Ids(this.clock);
    this.nodes = new Nodes(own, nodes);
    this.api = new Api(this.nodes, this.clock, this.ids);
    this.api.onEnded = (refusal) => this.ended(refusal);
    this.store = new Store();
    this.live = new Live(this.nodes, {
      token: () => this.api.token,
      cursor: () => this.store.cursor,
      onFrame: (frame) => this.frame(frame),
      onState: (state) => this.connection(state),
      onRefused: (error) => this.refused(error),
    });
    this.pulse = new Pulse(this.nodes, this.live, {
      ask: (node, timeout_ms) => this.askCluster(node, timeout_ms),
      onPicture: () => this.pictured(),
      onMiss: () => this.tell(),
    });
    /** @type {'loading' | 'sign' | 'main'} */
    this.screen = 'loading';
    this.notice = '';
    /** @type {import('./route.js').Route} */
    this.route = { view: 'list', label: null };
    this.is_connected = false;
    this.was_connected = false;
    /** The list of conversations has been loaded. */
    this.is_listed = false;
    /** Conversations as a node without a quorum knew them. @type {Set<string>} */
    this.behind = new Set();
    /** Channels by label, as asked for. @type {Map<string, any>} */
    this.channels = new Map();
    /** Why a conversation is not to be seen. @type {Map<string, string>} */
    this.closed = new Map();
    /** Whom nothing can be sent any more. @type {Map<string, string>} */
    this.gone = new Map();
    /** @type {Map<string, string>} */
    this.drafts = new Map();
    /** Loads under way. @type {Map<string, Promise<void>>} */
    this.loading = new Map();
    /** @type {{text: string, code: string, id: number}[]} */
    this.toasts = [];
    this.members_version = 0;
    /** What is said when it ends now, because someone wants it to. @type {string | null} */
    this.parting = null;
    this.marks = new Marks(
      (label, upto) => this.api.post(`${history(label)}/read`, { upto }),
      (label) => this.marked(label),
    );
    this.refreshed_at = -Infinity;
    /** @type {(() => void)[]} */
    this.watchers = [];
    this.is_telling = false;
  }

  /** @returns {() => void} ends it */
  watch(watcher) {
    this.watchers.push(watcher);
    return () => (this.watchers = this.watchers.filter((one) => one !== watcher));
  }

  /** Has the views look again, once for everything that changes now. */
  tell() {
    if (this.is_telling) return;
    this.is_telling = true;
    queueMicrotask(() => {
      this.is_telling = false;
      for (const watcher of this.watchers) watcher();
    });
  }

  // ---- session -------------------------------------------------------------------------------

  async start() {
    this.follow();
    window.addEventListener('hashchange', () => this.follow());
    document.addEventListener('visibilitychange', () => this.wake());
    window.addEventListener('online', () => this.live.again());
    for (;;) {
      try {
        if (await this.api.resume()) await this.enter();
        else this.leave('');
        return;
      } catch (error) {
        this.notice = `${reason(error)} Trying again …`;
        this.tell();
        await pause(1000);
      }
    }
  }

  async signIn(name, password) {
    await this.begin('/v1/login', { name, password });
  }

  async signUp(name, password, invite) {
    await this.begin('/v1/register', invite ? { name, password, invite } : { name, password });
  }

  async begin(path, body) {
    // Only where the page came from may the browser be given the cookie: that node is asked first.
    this.nodes.current = this.nodes.own;
    const opened = await this.api.call('POST', path, body, { open: true });
    await this.api.open(opened.token);
    await this.enter();
  }

  async enter() {
    const me = await this.api.get('/v1/me');
    this.api.user = me.name;
    this.store = new Store();
    this.store.me = { name: me.name, role: me.role };
    this.is_listed = false;
    this.screen = 'main';
    this.notice = '';
    this.tell();
    this.live.start();
    this.pulse.ask();
  }

  async signOut() {
    await this.part('', () => this.api.post('/v1/logout'));
  }

  get(path) {
    return this.api.get(path);
  }

  async changePassword(password, new_password) {
    await this.api.call('PUT', '/v1/me/password', { password, new_password });
  }

  async deleteAccount(password, erase_messages) {
    await this.part('Your account is deleted.', () => this.api.call('DELETE', '/v1/me', { password, erase_messages }));
  }

  /** Ends the session; a node may end the connection before it answers. */
  async part(notice, ask) {
    this.parting = notice;
    try {
      await ask();
      this.leave(notice);
    } finally {
      this.parting = null;
    }
  }

  ended(refusal) {
    if (this.screen !== 'main') return;
    const why = refusal.code === 'session_ended' ? reason(refusal) : 'Your session has ended.';
    this.leave(this.parting ?? `${why} Sign in again.`);
  }

  leave(notice) {
    this.live.stop();
    this.pulse.stop();
    this.api.forget();
    this.store = new Store();
    this.drop();
    this.toasts = [];
    this.is_connected = false;
    this.was_connected = false;
    for (const held of [this.channels, this.closed, this.gone, this.drafts, this.behind]) held.clear();
    this.screen = 'sign';
    this.notice = notice;
    if (this.route.view !== 'list') location.hash = '#/';
    this.tell();
  }

  /** What is under way for a store that is no more. */
  drop() {
    this.marks.drop();
    clearTimeout(this.refreshing);
    this.refreshing = undefined;
    this.loading.clear();
    this.is_listed = false;
  }

  // ---- connection ----------------------------------------------------------------------------

  connection(state) {
    this.is_connected = state === 'connected';
    this.was_connected ||= this.is_connected;
    if (this.is_connected) {
      this.pulse.connected();
      if (!this.is_listed) this.refresh();
      for (const label of this.behind) this.store.conversation(label).is_stale = true;
      this.behind.clear();
      if (this.route.label) this.open(this.route.label);
      this.pump();
    } else {
      this.store.disconnected();
    }
    this.tell();
  }

  async refused(error) {
    if (error.code === 'cursor_ahead') {
      // Another cluster stands here now, or one from a backup.
      this.store = this.store.afresh();
      this.drop();
    } else {
      try {
        await this.api.renew();
      } catch {
        if (this.screen !== 'main') return;
        await pause(1000);
      }
    }
    if (this.screen === 'main') this.live.again();
  }

  frame(frame) {
    if (frame.type === 'cluster') return this.pulse.told(frame);
    const was = this.store.outgoing(frame.request_id);
    this.store.receive(frame);
    if (frame.type === 'failed' && was?.state === 'pending') setTimeout(() => this.pump(), RESEND_MS * Math.max(1, was.tries));
    if (frame.type === 'sent') this.pump();
    if (frame.type === 'channel') this.channels.set(`#${frame.channel.name}`, frame.channel);
    if (frame.type === 'member') this.memberChanged(frame);
    if (frame.type === 'account' || frame.type === 'resync') this.members_version += 1;
    if (frame.type === 'account' && frame.deleted) this.gone.set(`@${frame.user}`, GONE);
    this.settle();
    this.tell();
  }

  memberChanged({ conversation, user, change }) {
    this.members_version += 1;
    const channel = this.channels.get(conversation);
    const is_me = user === this.store.me?.name;
    if (channel) {
      channel.members += change === 'joined' ? 1 : -1;
      if (is_me) channel.member = change === 'joined';
    }
    if (is_me && change === 'joined') this.closed.delete(conversation);
  }

  /** Has loaded again whatever turned out to be missing. */
  settle() {
    if (this.store.is_dirty) {
      this.store.is_dirty = false;
      this.refreshIn(30);
    }
    const { label } = this.route;
    if (label && this.is_connected && this.store.conversations.get(label)?.is_stale) this.reload(label);
  }

  /** Sends what is to be sent, as far as there is a connection. */
  pump() {
    if (!this.is_connected) return;
    for (const item of this.store.take()) {
      const { request_id, to, text, after } = item;
      const frame = { type: 'send', request_id, to, text };
      if (after) frame.after_request = after;
      if (!this.live.send(frame)) item.is_in_flight = false;
    }
    this.tell();
  }

  async askCluster(node, timeout_ms) {
    const answer = await this.api.attempt(node, 'GET', '/v1/cluster', undefined, null, false, timeout_ms);
    return answer instanceof ApiError ? answer : answer.json;
  }

  pictured() {
    const { label } = this.route;
    if (label && this.pulse.state === 'waiting') this.openBehind(label);
    this.tell();
  }

  wake() {
    if (document.hidden || this.screen !== 'main') return;
    this.live.again();
    this.pulse.ask();
    this.tell();
  }

  // ---- conversations -------------------------------------------------------------------------

  refreshIn(wait_ms) {
    const rest_ms = this.refreshed_at + REFRESH_MS - performance.now();
    this.refreshing ??= setTimeout(() => this.refresh(), Math.max(wait_ms, rest_ms));
  }

  async refresh() {
    const { store } = this;
    clearTimeout(this.refreshing);
    this.refreshing = undefined;
    this.refreshed_at = performance.now();
    try {
      const items = [];
      let after = '';
      do {
        const page = await this.api.get(`/v1/conversations?limit=200${after}`);
        items.push(...page.items);
        after = page.next ? `&after=${page.next}` : null;
      } while (after !== null);
      if (store !== this.store) return;
      store.setConversations(items);
      this.is_listed = true;
      for (const item of items) this.closed.delete(item.conversation);
      this.settle();
    } catch (error) {
      if (this.screen !== 'main' || store !== this.store) return;
      if (!(error instanceof ApiError) || isPassing(error) || error.status >= 500) this.refreshIn(REFRESH_AGAIN_MS);
    }
    this.tell();
  }

  follow() {
    this.route = routeOf(location.hash);
    this.tell();
  }

  /** @param {string | null} label */
  go(label) {
    location.hash = label === null ? '#/' : path(label);
  }

  /** Loads an opened conversation: where the reading stopped, or its end. */
  open(label) {
    return this.once(`open ${label}`, async () => {
      if (label.startsWith('#')) await this.learnChannel(label);
      else this.learnPerson(label);
      const one = this.store.conversation(label);
      if (one.is_loaded && !one.is_stale) return;
      const is_far = !one.is_loaded && one.unread > PAGE / 2;
      await this.load(label, is_far ? `around=${one.read_upto + PAGE / 2 - 5}` : '', 'fresh');
    });
  }

  /** Without a quorum a node still shows what it has. */
  openBehind(label) {
    const one = this.store.conversation(label);
    if (one.is_loaded || this.closed.has(label)) return;
    this.once(`behind ${label}`, async () => {
      this.behind.add(label);
      await this.load(label, 'consistency=stale', 'fresh');
    });
  }

  async learnChannel(label) {
    try {
      this.channels.set(label, await this.api.get(`/v1/channels/${label.slice(1)}`));
      this.tell();
    } catch (error) {
      if (error.code === 'no_such_channel') this.closed.set(label, 'There is no such channel, or it is private.');
    }
  }

  async learnPerson(label) {
    const name = label.slice(1);
    const page = await this.api.get(`/v1/users?match=${encodeURIComponent(name)}&limit=1`).catch(() => ({ items: [] }));
    if (page.items.some((one) => one.name === name && one.deleted)) this.gone.set(label, GONE);
    this.tell();
  }

  reload(label) {
    return this.once(`reload ${label}`, () => {
      const one = this.store.conversation(label);
      const newest = one.messages[one.messages.length - 1];
      one.is_stale = false;
      // What was edited or deleted meanwhile stands in what is loaded afresh.
      const first = one.messages[0]?.seq ?? 0;
      const count = newest ? newest.seq - first + 1 : 0;
      if (count > 0 && count < PAGE && !one.more_after) return this.load(label, '', 'fresh');
      if (one.more_after) return this.load(label, `around=${Math.floor((first + newest.seq) / 2)}`, 'fresh');
      return this.load(label, '', 'fresh');
    });
  }

  loadBefore(label) {
    const one = this.store.conversation(label);
    if (!one.is_loaded || !one.more_before || one.messages.length === 0 || this.closed.has(label)) return null;
    return this.once(`before ${label}`, () => this.load(label, `before=${one.messages[0].seq}`, 'before'));
  }

  loadAfter(label) {
    const one = this.store.conversation(label);
    if (!one.is_loaded || !one.more_after || one.messages.length === 0 || this.closed.has(label)) return null;
    const last = one.messages[one.messages.length - 1].seq;
    return this.once(`after ${label}`, () => this.load(label, `after=${last}`, 'after'));
  }

  loadNewest(label) {
    return this.once(`newest ${label}`, () => this.load(label, '', 'fresh'));
  }

  async load(label, query, how) {
    const { store } = this;
    try {
      const page = await this.api.get(`${history(label)}/messages?limit=${PAGE}${query && `&${query}`}`);
      if (store !== this.store) return;
      store.history(label, page, how);
      this.closed.delete(label);
      this.settle();
    } catch (error) {
      if (store !== this.store) return;
      if ([403, 404, 422].includes(error.status)) this.closed.set(label, reason(error));
      else this.toast(error);
      // Whoever still looks there asks again as soon as this is over.
      if (how !== 'fresh') await pause(LOAD_AGAIN_MS);
    }
  }

  /** Does something once at a time. */
  once(name, work) {
    const running = this.loading.get(name);
    if (running) return running;
    const run = Promise.resolve()
      .then(work)
      .catch(() => {})
      .finally(() => {
        if (this.loading.get(name) === run) this.loading.delete(name);
        this.tell();
      });
    this.loading.set(name, run);
    this.tell();
    return run;
  }

  isLoading(name) {
    return this.loading.has(name);
  }

  /** The messages up to `seq` have been seen. */
  seen(label, seq) {
    const one = this.store.conversations.get(label);
    if (!one?.is_member || seq <= one.read_upto) return;
    this.store.read(label, seq);
    this.marks.add(label, seq);
  }

  marked(label) {
    // How much is unread behind the mark is the nodes' to say.
    if (this.store.conversations.get(label)?.unread) this.store.is_dirty = true;
    this.settle();
  }

  // ---- messages ------------------------------------------------------------------------------

  send(to, text) {
    this.store.enqueue(to, wellFormed(text), this.ids.next(), this.clock.now());
    this.pump();
    this.tell();
  }

  retry(request_id) {
    this.store.retry(request_id, this.ids.next());
    this.pump();
    this.tell();
  }

  discard(request_id) {
    this.store.discard(request_id);
    this.tell();
  }

  async edit(id, text) {
    const message = await this.api.call('PATCH', `/v1/messages/${id}`, { text: wellFormed(text) });
    this.store.changed(message);
    this.tell();
  }

  async remove(id) {
    const message = await this.api.call('DELETE', `/v1/messages/${id}`);
    this.store.changed(message);
    this.settle();
    this.tell();
  }

  // ---- channels ------------------------------------------------------------------------------

  async createChannel(name, topic, is_private) {
    const channel = await this.api.post('/v1/channels', { name, topic, private: is_private });
    this.joined(channel);
    return channel;
  }

  async join(label) {
    const channel = await this.api.post(`/v1/channels/${label.slice(1)}/join`);
    this.joined(channel);
    await this.open(label);
  }

  joined(channel) {
    const label = `#${channel.name}`;
    this.channels.set(label, channel);
    this.closed.delete(label);
    const one = this.store.conversation(label);
    one.is_member = true;
    if (one.activity === '0') one.activity = this.store.cursor ?? '0';
    this.refresh();
  }

  async quit(label) {
    await this.api.post(`/v1/channels/${label.slice(1)}/leave`);
    this.store.conversation(label).is_member = false;
    this.store.conversation(label).is_loaded = false;
    this.channels.delete(label);
    this.go(null);
    this.tell();
  }

  // ---- notices -------------------------------------------------------------------------------

  /** @param {any} what a sentence, or what went wrong */
  toast(what) {
    if (what.code === 'left') return;
    const toast = typeof what === 'string' ? { text: what, code: '', id: Math.random() } : { text: reason(what), code: what.code ?? '', id: Math.random() };
    this.toasts = [...this.toasts.slice(-2), toast];
    setTimeout(() => {
      this.toasts = this.toasts.filter((one) => one !== toast);
      this.tell();
    }, 6000);
    this.tell();
  }
}

function history(label) {
  const kind = label.startsWith('#') ? 'channels' : 'direct';
  return `/v1/${kind}/${encodeURIComponent(label.slice(1))}`;
}

/** Half a character, as it can be pasted, cannot be sent. */
function wellFormed(text) {
  return new TextDecoder().decode(new TextEncoder().encode(text));
}

/** What went wrong, as a sentence. */
export function reason(error) {
  const text = error.message || 'something went wrong';
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(sentence) ? sentence : `${sentence}.`;
}
