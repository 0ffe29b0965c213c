// Finds people and channels by the beginning of their names, from anywhere (Ctrl or Cmd + K).

import { h, reconcile, set } from '../dom.js';
import { visible } from '../text.js';
import { avatar } from './avatar.js';
import { dialog } from './dialogs.js';

const WAIT_MS = 120;
const LIMIT = 20;

/** @param {import('../app.js').App} app */
export function openFinder(app) {
  if (document.querySelector('dialog[open]')) return;
  new Finder(app);
}

class Finder {
  constructor(app) {
    this.app = app;
    this.items = [];
    this.chosen = 0;
    this.list = h('ul', { class: 'people finder-list', role: 'listbox', id: 'finder-list', 'aria-label': 'People and channels' });
    this.none = h('p', { class: 'muted finder-none' });
    this.input = h('input', {
      'data-testid': 'finder-input',
      type: 'search',
      placeholder: 'Name of a person or a channel',
      role: 'combobox',
      'aria-expanded': 'true',
      'aria-controls': 'finder-list',
      'aria-label': 'Find people and channels',
      autocapitalize: 'none',
      autocomplete: 'off',
      spellcheck: 'false',
      oninput: () => this.changed(),
      onkeydown: (event) => this.key(event),
    });
    this.element = dialog('finder', 'Find people and channels', this.input, this.none, this.list);
    this.element.classList.add('finder');
    this.input.focus();
    this.search();
  }

  changed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.search(), WAIT_MS);
  }

  async search() {
    const text = this.input.value.trim().toLowerCase();
    const bare = text.replace(/^[@#]/, '').replace(/[^a-z0-9._-]/g, '');
    const match = encodeURIComponent(`${bare}*`);
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const ask = (kind) => this.app.get(`/v1/${kind}?match=${match}&limit=${LIMIT}`).catch(() => ({ items: [] }));
    const [users, channels] = await Promise.all([
      text.startsWith('#') ? { items: [] } : ask('users'),
      text.startsWith('@') ? { items: [] } : ask('channels'),
    ]);
    if (turn !== this.turn) return;
    const me = this.app.store.me?.name;
    const people = users.items.filter((it) => !it.deleted && it.name !== me).map((it) => ({ label: `@${it.name}`, note: '' }));
    const rooms = channels.items.map((it) => ({
      label: `#${it.name}`,
      note: [it.private && 'private', `${it.members} ${it.members === 1 ? 'member' : 'members'}`].filter(Boolean).join(' \u00b7 '),
      is_private: it.private,
    }));
    this.items = [...people, ...rooms].sort((one, other) => rank(one, bare) - rank(other, bare));
    this.chosen = 0;
    this.draw();
  }

  draw() {
    const make = (item) => this.make(item);
    reconcile(this.list, this.items, (item) => item.label, make, (element, _, index) => {
      set(element, 'aria-selected', String(index === this.chosen));
      if (index === this.chosen) {
        set(this.input, 'aria-activedescendant', element.id);
        element.scrollIntoView({ block: 'nearest' });
      }
    });
    this.none.textContent = this.items.length === 0 ? 'Nobody and nothing of that name.' : '';
    this.none.hidden = this.items.length > 0;
  }

  make(item) {
    return h(
      'li',
      { role: 'option', id: `finder-${item.label}`, 'data-testid': 'finder-item', 'data-target': item.label, onclick: () => this.take(item) },
      avatar(item.label, { is_private: item.is_private }),
      h('bdi', {}, visible(item.label.slice(1))),
      h('small', { class: 'muted push' }, item.note || (item.label.startsWith('@') ? 'person' : '')),
    );
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.items.length > 0) {
      event.preventDefault();
      this.chosen = (this.chosen + step + this.items.length) % this.items.length;
      this.draw();
    } else if (event.key === 'Escape') {
      // A search field would only be emptied by it.
      event.preventDefault();
      this.element.close();
    } else if (event.key === 'Enter') {
      event.preventDefault();
      const item = this.items[this.chosen];
      if (item) this.take(item);
    }
  }

  take(item) {
    this.element.close();
    this.app.go(item.label);
  }
}

/** What bears the very name comes first. */
function rank(item, text) {
  return item.label.slice(1) === text ? 0 : 1;
}
