// All channels that one may see, to be joined or opened.

import { h, icon, reconcile, say, show } from '../dom.js';
import { path } from '../route.js';
import { visible } from '../text.js';
import { avatar } from './avatar.js';
import { openChannelDialog } from './dialogs.js';

const WAIT_MS = 150;

export class ChannelsView {
  /** @param {import('../app.js').App} app */
  constructor(app) {
    this.app = app;
    this.items = [];
    this.is_shown = false;
    /** Counts what was asked for: only the last answer is shown. */
    this.turn = 0;
    this.filter = h('input', {
      type: 'search', 'data-testid': 'channels-filter', placeholder: 'Filter by name', 'aria-label': 'Filter channels by name',
      autocapitalize: 'none', spellcheck: 'false', oninput: () => this.changed(),
    });
    this.list = h('ul', { class: 'cards' });
    this.none = h('p', { class: 'empty muted' });
    this.more = h('button', { type: 'button', onclick: () => this.load(this.next) }, 'More');
    this.element = h(
      'section',
      { class: 'page-view', 'data-testid': 'channels-view', 'aria-label': 'Channels' },
      h(
        'header',
        { class: 'pane-head' },
        h('a', { class: 'icon-button back', href: '#/', 'data-testid': 'back', 'aria-label': 'Back to the list' }, icon('back')),
        h('div', { class: 'titles' }, h('h1', {}, 'Channels')),
        h('button', { type: 'button', class: 'primary', onclick: () => openChannelDialog(app) }, 'New channel'),
      ),
      h('div', { class: 'scroll' }, h('div', { class: 'narrow' }, this.filter, this.none, this.list, this.more)),
    );
  }

  hidden() {
    this.is_shown = false;
  }

  /** Whoever looked here has left. */
  forget() {
    clearTimeout(this.timer);
    this.is_shown = false;
    this.turn += 1;
    this.items = [];
    this.next = null;
    this.filter.value = '';
    this.draw();
  }

  update() {
    if (!this.is_shown) {
      this.is_shown = true;
      this.load(null);
    }
    this.draw();
  }

  changed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(null), WAIT_MS);
  }

  async load(after) {
    const bare = this.filter.value.trim().toLowerCase().replace(/^#/, '').replace(/[^a-z0-9._-]/g, '');
    const query = `match=${encodeURIComponent(bare ? `*${bare}*` : '*')}&limit=50${after ? `&after=${encodeURIComponent(after)}` : ''}`;
    const turn = (this.turn += 1);
    try {
      const page = await this.app.get(`/v1/channels?${query}`);
      if (turn !== this.turn) return;
      this.items = after ? [...this.items, ...page.items] : page.items;
      this.next = page.next;
      for (const item of page.items) this.app.channels.set(`#${item.name}`, item);
    } catch (error) {
      this.app.toast(error);
    }
    this.draw();
  }

  draw() {
    const make = (item) => this.make(item);
    reconcile(this.list, this.items, (item) => item.name, make, (element, item) => this.fill(element, item));
    show(this.more, Boolean(this.next));
    show(this.none, this.items.length === 0);
    say(this.none, this.filter.value ? 'No channel of that name.' : 'There are no channels yet. Make the first one.');
  }

  make({ name, ...item }) {
    const label = `#${name}`;
    const join = () => this.app.join(label).then(() => this.app.go(label), (error) => this.app.toast(error));
    const parts = {
      note: h('small', { class: 'muted' }),
      join: h('button', { type: 'button', class: 'primary', 'data-testid': 'channel-join', onclick: join }, 'Join'),
      open: h('a', { class: 'button', 'data-testid': 'channel-open', href: path(label) }, 'Open'),
    };
    const element = h(
      'li',
      { class: 'card', 'data-testid': 'channel-row', 'data-channel': name },
      avatar(label, { is_private: item.private }),
      h('div', { class: 'card-text' }, h('bdi', {}, visible(name)), h('p', { dir: 'auto' }, visible(item.topic)), parts.note),
      h('div', { class: 'push' }, parts.join, parts.open),
    );
    element.parts = parts;
    return element;
  }

  fill(element, item) {
    const known = this.app.channels.get(`#${item.name}`) ?? item;
    const count = `${known.members} ${known.members === 1 ? 'member' : 'members'}`;
    say(element.parts.note, known.private ? `private \u00b7 ${count}` : count);
    show(element.parts.join, !known.member);
    show(element.parts.open, known.member);
  }
}
