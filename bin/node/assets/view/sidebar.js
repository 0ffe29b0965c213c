// The list of conversations, and the ways to everything else.

import { h, icon, iconButton, reconcile, say, set, show } from '../dom.js';
import { path } from '../route.js';
import { harmless, shortTime, visible } from '../text.js';
import { avatar } from './avatar.js';
import { openChannelDialog } from './dialogs.js';
import { openFinder } from './finder.js';

export class Sidebar {
  /** @param {import('../app.js').App} app */
  constructor(app) {
    this.app = app;
    this.list = h('ul', { class: 'conversations' });
    this.empty = h(
      'div',
      { class: 'empty' },
      h('p', {}, 'No conversations yet.'),
      h('button', { type: 'button', class: 'primary', onclick: () => openFinder(app) }, 'Find a person'),
      h('a', { class: 'button', href: '#/channels' }, 'Browse channels'),
    );
    this.loading = h('p', { class: 'empty muted' }, 'Loading \u2026');
    this.who = h('span', { class: 'me-name' });
    this.sign = h('span', {});
    this.me = h(
      'a',
      { class: 'me', href: '#/account', 'data-testid': 'me', title: 'Account' },
      this.sign,
      this.who,
    );
    this.cluster = h(
      'a',
      { class: 'icon-button', href: '#/cluster', 'data-testid': 'open-cluster', 'aria-label': 'Cluster', title: 'Cluster' },
      icon('cluster'),
    );
    this.element = h(
      'nav',
      { class: 'sidebar', 'data-testid': 'sidebar', 'aria-label': 'Conversations' },
      h(
        'header',
        { class: 'sidebar-head' },
        h('h1', {}, 'Chats'),
        iconButton('search', 'Find people and channels', { 'data-testid': 'open-finder', onclick: () => openFinder(app) }),
        h('a', { class: 'icon-button', href: '#/channels', 'data-testid': 'open-channels', 'aria-label': 'Browse channels', title: 'Browse channels' }, icon('hash')),
        iconButton('plus', 'New channel', { 'data-testid': 'create-channel', onclick: () => openChannelDialog(app) }),
      ),
      h('div', { class: 'sidebar-body' }, this.list, this.empty, this.loading),
      h('footer', { class: 'sidebar-foot' }, this.me, this.cluster),
    );
  }

  update() {
    const { app } = this;
    const items = app.store.list();
    show(this.empty, items.length === 0 && app.is_listed);
    show(this.loading, items.length === 0 && !app.is_listed);
    const { name = '', role = '' } = app.store.me ?? {};
    if (this.sign.dataset.name !== name) {
      this.sign.dataset.name = name;
      this.sign.replaceChildren(avatar(name));
    }
    say(this.who, visible(name));
    set(this.me, 'title', `Account of ${name}${role && role !== 'member' ? ` (${role})` : ''}`);
    set(this.me, 'aria-current', app.route.view === 'account' ? 'page' : null);
    set(this.cluster, 'aria-current', app.route.view === 'cluster' ? 'page' : null);
    const make = (one) => this.make(one);
    reconcile(this.list, items, (one) => one.label, make, (element, one) => this.fill(element, one));
  }

  make({ label }) {
    const parts = {
      name: h('bdi', { class: 'row-name' }, visible(label.slice(1))),
      time: h('time', { class: 'row-time' }),
      preview: h('span', { class: 'row-preview', 'data-testid': 'preview', dir: 'auto' }),
      unread: h('span', { class: 'unread', 'data-testid': 'unread' }),
    };
    const link = h(
      'a',
      { class: 'row-link', href: path(label), 'data-testid': 'conversation', 'data-conversation': label },
      avatar(label),
      parts.name, parts.time, parts.preview, parts.unread,
    );
    const element = h('li', {}, link);
    element.parts = { ...parts, link };
    return element;
  }

  fill(element, one) {
    const { link, time, preview, unread } = element.parts;
    const is_private = this.app.channels.get(one.label)?.private === true;
    if (element.is_private !== is_private) {
      element.is_private = is_private;
      link.firstElementChild.replaceWith(avatar(one.label, { is_private }));
    }
    const is_open = this.app.route.label === one.label;
    set(link, 'aria-current', is_open ? 'page' : null);
    set(link, 'data-unread', one.unread);
    link.classList.toggle('has-unread', one.unread > 0);
    say(time, one.last?.time ? shortTime(new Date(one.last.time)) : '');
    say(preview, this.preview(one));
    say(unread, one.unread > 999 ? '999+' : String(one.unread));
    if (one.unread > 0 && !unread.isConnected) link.append(unread, h('span', { class: 'unseen' }, 'unread'));
    if (one.unread === 0 && unread.isConnected) {
      unread.nextElementSibling?.remove();
      unread.remove();
    }
  }

  preview({ label, last }) {
    if (!last) return 'No messages yet';
    if (last.deleted) return 'Message deleted';
    const text = harmless(last.text ?? '').replace(/\s+/g, ' ').slice(0, 120);
    if (last.author === this.app.store.me?.name) return `You: ${text}`;
    return label.startsWith('#') ? `${visible(last.author ?? '')}: ${text}` : text;
  }
}
