// A conversation: its history, which loads as one scrolls, and where one writes.
//
// What always holds: what one looks at stays where it is, whatever is loaded above or below; whoever
// looks at the end stays at the end.

import { h, icon, iconButton, reconcile, say, set, show } from '../dom.js';
import { visible } from '../text.js';
import { avatar } from './avatar.js';
import { Composer } from './composer.js';
import { confirm, openMembers } from './dialogs.js';
import { make, rows, update } from './message.js';

/** Nearer to the end of what is loaded than this, more is. */
const NEAR_PX = 500;
const END_PX = 40;

export class ConversationView {
  /** @param {import('../app.js').App} app */
  constructor(app) {
    this.app = app;
    /** @type {string | null} */
    this.label = null;
    this.reset();
    this.composer = new Composer(app, {
      send: (text) => this.send(text),
      edit: (message, text) => app.edit(message.id, text).catch((error) => app.toast(error)),
      last: () => this.lastOwn(),
    });
    this.on = {
      retry: (item) => app.retry(item.request_id),
      discard: (item) => app.discard(item.request_id),
      edit: (message) => this.composer.startEditing(message),
      remove: (message, is_mine) => this.remove(message, is_mine),
    };
    this.sign = h('span', { class: 'title-avatar' });
    this.title = h('h1', { 'data-testid': 'conversation-title' });
    this.under = h('p', { class: 'topic', dir: 'auto' });
    this.members = iconButton('people', 'Members', { 'data-testid': 'members', onclick: () => openMembers(app, this.label ?? '') });
    this.leave = iconButton('leave', 'Leave channel', { 'data-testid': 'leave', onclick: () => this.quit() });
    this.top = h('p', { class: 'top muted' });
    this.list = h('ol', { class: 'items' });
    this.scroller = h(
      'div',
      { class: 'messages', 'data-testid': 'messages', role: 'log', 'aria-live': 'polite', tabindex: '0' },
      this.top,
      this.list,
    );
    this.jump = h('button', { type: 'button', class: 'jump', hidden: true, 'data-testid': 'jump-newest', onclick: () => this.toEnd() }, icon('down', 18), h('span', {}));
    this.foot = h('div', { class: 'closed' });
    this.element = h(
      'section',
      { class: 'conversation', 'data-testid': 'conversation-pane' },
      h(
        'header',
        { class: 'pane-head' },
        h('a', { class: 'icon-button back', href: '#/', 'data-testid': 'back', 'aria-label': 'Back to the list' }, icon('back')),
        this.sign,
        h('div', { class: 'titles' }, this.title, this.under),
        this.members,
        this.leave,
      ),
      h('div', { class: 'stage' }, this.scroller, this.jump),
      this.composer.element,
      this.foot,
    );
    this.scroller.addEventListener('scroll', () => this.scrolled(), { passive: true });
    new ResizeObserver(() => this.resized()).observe(this.scroller);
  }

  reset() {
    /** Where reading had stopped when it was opened; undefined until that is known. */
    this.marker = undefined;
    this.is_placed = false;
    this.is_at_end = true;
    if (this.jump) show(this.jump, false);
  }

  hidden() {
    if (this.label === null) return;
    this.composer.keep();
    this.label = null;
  }

  /** Whoever read here has left. */
  forget() {
    this.composer.forget();
    this.label = null;
    this.reset();
    this.clear();
    for (const part of [this.title, this.under, this.top]) say(part, '');
    this.sign.replaceChildren();
    this.foot.replaceChildren();
    delete this.foot.dataset.state;
    set(this.element, 'data-conversation', null);
  }

  clear() {
    this.list.held = new Map();
    this.list.replaceChildren();
  }

  update() {
    const { app } = this;
    const label = app.route.label ?? '';
    if (this.label !== label) this.begin(label);
    const one = app.store.conversation(label);
    this.head(label, one);
    this.feet(label, one);
    if (this.marker === undefined && one.is_loaded && app.is_listed) {
      this.marker = one.is_member && one.unread > 0 ? one.read_upto : null;
    }
    const anchor = this.anchor();
    this.draw(label, one);
    this.place(anchor);
    this.after();
  }

  begin(label) {
    this.label = label;
    this.reset();
    this.clear();
    this.sign.replaceChildren(avatar(label, { is_private: this.app.channels.get(label)?.private }));
    this.app.open(label);
    this.composer.use(label);
  }

  head(label, one) {
    const channel = this.app.channels.get(label);
    const is_channel = label.startsWith('#');
    set(this.element, 'data-conversation', label);
    set(this.element, 'aria-label', `Conversation ${visible(label)}`);
    say(this.title, visible(label.slice(1)));
    const count = channel ? `${channel.members} ${channel.members === 1 ? 'member' : 'members'}` : '';
    const topic = visible(channel?.topic ?? '');
    say(this.under, is_channel ? [channel?.private && 'private', count, topic].filter(Boolean).join(' \u00b7 ') : 'direct messages');
    show(this.members, is_channel && one.is_member);
    show(this.leave, is_channel && one.is_member);
  }

  /** What stands below the messages: where one writes, or why one cannot. */
  feet(label, one) {
    const { app } = this;
    const closed = app.closed.get(label) ?? app.gone.get(label);
    const channel = app.channels.get(label);
    const may_join = label.startsWith('#') && app.is_listed && !one.is_member && channel && !channel.member;
    show(this.composer.element, !closed && !may_join);
    show(this.foot, Boolean(closed || may_join));
    const state = may_join ? 'join' : (closed ?? '');
    if (this.foot.dataset.state === `${label} ${state}`) return;
    this.foot.dataset.state = `${label} ${state}`;
    if (may_join) {
      const join = () => app.join(label).catch((error) => app.toast(error));
      this.foot.replaceChildren(
        h('p', {}, 'You are not a member of this channel.'),
        h('button', { type: 'button', class: 'primary', 'data-testid': 'join', onclick: join }, 'Join channel'),
      );
    } else {
      this.foot.replaceChildren(h('p', {}, closed ?? ''));
    }
  }

  draw(label, one) {
    const me = this.app.store.me?.name ?? '';
    const is_held_up = this.app.pulse.state !== 'connected';
    const how = { me, on: this.on, editing: this.composer.editing?.id ?? null, is_held_up };
    const found = rows(one, this.app.store.unsent(label), { me, marker: this.marker ?? null });
    reconcile(this.list, found, (row) => row.key, make, (element, row) => update(element, row, how));
    set(this.scroller, 'data-first', one.messages[0]?.seq);
    set(this.scroller, 'data-last', one.messages[one.messages.length - 1]?.seq);
    set(this.scroller, 'data-more-before', String(!one.is_loaded || one.more_before));
    set(this.scroller, 'aria-busy', String(this.app.isLoading(`open ${label}`)));
    say(this.top, this.topText(label, one, found.length));
  }

  topText(label, one, count) {
    if (this.app.closed.has(label)) return '';
    if (!one.is_loaded) return this.app.isLoading(`open ${label}`) || !this.app.is_connected ? 'Loading \u2026' : '';
    if (one.more_before) return 'Loading earlier messages \u2026';
    const name = visible(label.startsWith('#') ? label : label.slice(1));
    if (count === 0) return label.startsWith('#') ? `This is the very beginning of ${name}. Say hello.` : `No messages with ${name} yet. Say hello.`;
    return `The beginning of ${label.startsWith('#') ? name : `your conversation with ${name}`}.`;
  }

  // ---- scrolling -----------------------------------------------------------------------------

  /** The first line in sight, and where it is. */
  anchor() {
    const top = this.scroller.getBoundingClientRect().top;
    for (const element of this.list.children) {
      const box = element.getBoundingClientRect();
      if (box.bottom > top) return { element, at: box.top - top };
    }
    return null;
  }

  place(anchor) {
    const { scroller } = this;
    if (!this.is_placed && this.marker !== undefined) {
      this.is_placed = true;
      const marker = this.list.querySelector('.marker');
      if (marker) {
        marker.scrollIntoView({ block: 'start' });
        scroller.scrollTop -= scroller.clientHeight / 4;
        this.is_at_end = this.distance() < END_PX;
        return;
      }
    }
    if (this.is_at_end) {
      scroller.scrollTop = scroller.scrollHeight;
    } else if (anchor?.element.isConnected) {
      const top = scroller.getBoundingClientRect().top;
      const moved = anchor.element.getBoundingClientRect().top - top - anchor.at;
      if (Math.abs(moved) >= 1) scroller.scrollTop += moved;
    }
  }

  distance() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  scrolled() {
    this.is_at_end = this.distance() < END_PX;
    this.after();
  }

  resized() {
    if (this.label === null) return;
    if (this.is_at_end) this.scroller.scrollTop = this.scroller.scrollHeight;
    this.after();
  }

  /** Loads what comes into reach, and marks what is in sight as read. */
  after() {
    const { app, label, scroller } = this;
    if (label === null || !this.is_placed) return;
    const one = app.store.conversation(label);
    if (scroller.scrollTop < NEAR_PX) app.loadBefore(label);
    if (this.distance() < NEAR_PX) app.loadAfter(label);
    const is_away = !this.is_at_end || one.more_after;
    show(this.jump, is_away);
    say(this.jump.lastElementChild, one.unread > 0 ? `${one.unread} new` : 'Newest');
    if (!document.hidden && scroller.clientHeight > 0) this.see(label, one);
  }

  see(label, one) {
    if (!one.is_member || one.unread === 0) return;
    const bottom = this.scroller.getBoundingClientRect().bottom + 4;
    for (let element = this.list.lastElementChild; element; element = element.previousElementSibling) {
      const seq = Number(element.dataset.seq ?? 0);
      if (seq > 0 && element.getBoundingClientRect().bottom <= bottom) {
        this.app.seen(label, seq);
        return;
      }
    }
  }

  toEnd() {
    const { label } = this;
    if (label === null) return;
    this.is_at_end = true;
    if (this.app.store.conversation(label).more_after) this.app.loadNewest(label);
    else this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  // ---- doing ---------------------------------------------------------------------------------

  send(text) {
    const { label } = this;
    if (label === null) return;
    this.marker = null;
    this.app.send(label, text);
    this.toEnd();
  }

  lastOwn() {
    const { me, conversations } = this.app.store;
    const messages = conversations.get(this.label ?? '')?.messages ?? [];
    return [...messages].reverse().find((it) => it.author === me?.name && !it.deleted);
  }

  async remove(message, is_mine) {
    const is_sure = await confirm(
      is_mine
        ? { title: 'Delete this message?', text: 'It disappears for everyone in this conversation.', act: 'Delete for everyone' }
        : { title: 'Delete this message for you?', text: 'You will not see it any more. Others still do.', act: 'Delete for me' },
    );
    if (is_sure) await this.app.remove(message.id).catch((error) => this.app.toast(error));
  }

  async quit() {
    const { label } = this;
    if (label === null) return;
    const text = 'You get no more messages from it. You can join again, unless it is private.';
    const is_sure = await confirm({ title: `Leave ${visible(label)}?`, text, act: 'Leave' });
    if (is_sure) await this.app.quit(label).catch((error) => this.app.toast(error));
  }
}
