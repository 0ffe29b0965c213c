// One's account: password, sessions, the way out.

import { h, icon, reconcile, say } from '../dom.js';
import { visible } from '../text.js';
import { avatar } from './avatar.js';
import { confirm, openDeleteAccount, tellError } from './dialogs.js';

export class AccountView {
  /** @param {import('../app.js').App} app */
  constructor(app) {
    this.app = app;
    this.is_shown = false;
    this.who = h('div', { class: 'who' });
    this.sessions = h('ul', { class: 'cards' });
    const field = (id, autocomplete, more = {}) =>
      h('input', { type: 'password', 'data-testid': id, required: true, autocomplete, maxlength: '128', ...more });
    this.current = field('password-current', 'current-password');
    this.fresh = field('password-new', 'new-password', { minlength: '8' });
    this.error = h('p', { class: 'error', role: 'alert', 'data-testid': 'password-error' });
    this.done = h('p', { class: 'done', role: 'status', 'data-testid': 'password-done' });
    this.element = h(
      'section',
      { class: 'page-view', 'data-testid': 'account-view', 'aria-label': 'Account' },
      h(
        'header',
        { class: 'pane-head' },
        h('a', { class: 'icon-button back', href: '#/', 'data-testid': 'back', 'aria-label': 'Back to the list' }, icon('back')),
        h('div', { class: 'titles' }, h('h1', {}, 'Account')),
      ),
      h('div', { class: 'scroll' }, h('div', { class: 'narrow' }, this.who, this.passwordForm(), this.sessionList(), this.danger())),
    );
  }

  passwordForm() {
    return h(
      'form',
      { class: 'panel', onsubmit: (event) => this.change(event) },
      h('h2', {}, 'Change password'),
      h('p', { class: 'muted' }, 'Every other session ends.'),
      // Password managers want to know whose it is.
      (this.name = h('input', { type: 'text', autocomplete: 'username', readonly: true, hidden: true })),
      h('label', { class: 'field' }, h('span', {}, 'Current password'), this.current),
      h('label', { class: 'field' }, h('span', {}, 'New password'), this.fresh),
      this.error,
      this.done,
      h('button', { type: 'submit', class: 'primary', 'data-testid': 'password-submit' }, 'Change password'),
    );
  }

  sessionList() {
    return h('div', { class: 'panel' }, h('h2', {}, 'Sessions'), h('p', { class: 'muted' }, 'Where you are signed in.'), this.sessions);
  }

  danger() {
    return h(
      'div',
      { class: 'panel danger-zone' },
      h('h2', {}, 'Delete account'),
      h('p', { class: 'muted' }, 'Ends this account for good. You are told first what becomes of your messages.'),
      h('button', { type: 'button', class: 'danger', 'data-testid': 'account-delete', onclick: () => openDeleteAccount(this.app) }, 'Delete account \u2026'),
    );
  }

  hidden() {
    this.is_shown = false;
  }

  /** Whose account it was has left. */
  forget() {
    this.is_shown = false;
    this.clear();
    reconcile(this.sessions, [], (item) => item.id, (item) => this.session(item), () => {});
    this.name.value = '';
    this.who.replaceChildren();
    delete this.who.dataset.name;
  }

  clear() {
    for (const field of [this.current, this.fresh]) field.value = '';
    tellError(this.error, null);
    say(this.done, '');
  }

  update() {
    const { name = '', role = '' } = this.app.store.me ?? {};
    if (this.who.dataset.name !== name) {
      this.who.dataset.name = name;
      this.name.value = name;
      const out = () => this.app.signOut().catch((error) => this.app.toast(error));
      this.who.replaceChildren(
        avatar(name, { size: 'large' }),
        h('div', {}, h('h2', {}, h('bdi', {}, visible(name))), h('p', { class: 'muted' }, role)),
        h('button', { type: 'button', class: 'push', 'data-testid': 'sign-out', onclick: out }, 'Sign out'),
      );
    }
    if (!this.is_shown) {
      this.is_shown = true;
      this.clear();
      this.load();
    }
  }

  async load() {
    try {
      const { items } = await this.app.get('/v1/me/sessions');
      reconcile(this.sessions, items.reverse(), (item) => item.id, (item) => this.session(item), () => {});
    } catch (error) {
      this.app.toast(error);
    }
  }

  session(item) {
    const time = (text) => new Date(text).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
    return h(
      'li',
      { class: 'card', 'data-testid': 'session-row', 'data-id': item.id, 'data-current': String(item.current) },
      h(
        'div',
        { class: 'card-text' },
        h('span', {}, item.current ? 'This session' : `Session ${item.id}`),
        h('small', { class: 'muted' }, `since ${time(item.opened)}, until ${time(item.expires)}`),
      ),
      !item.current && h('button', { type: 'button', class: 'push', 'data-testid': 'session-end', onclick: () => this.end(item) }, 'End'),
    );
  }

  async end(item) {
    const text = 'Whoever uses it has to sign in again.';
    if (!(await confirm({ title: 'End this session?', text, act: 'End session' }))) return;
    try {
      await this.app.api.call('DELETE', `/v1/me/sessions/${item.id}`);
    } catch (error) {
      this.app.toast(error);
    }
    await this.load();
  }

  async change(event) {
    event.preventDefault();
    tellError(this.error, null);
    say(this.done, '');
    try {
      await this.app.changePassword(this.current.value, this.fresh.value);
      for (const field of [this.current, this.fresh]) field.value = '';
      say(this.done, 'The password is changed. Every other session has ended.');
      await this.load();
    } catch (error) {
      tellError(this.error, error);
    }
  }
}
