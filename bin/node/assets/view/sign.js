// Sign in, or make an account.

import { h, say, set, show } from '../dom.js';
import { reason } from '../app.js';

const HINTS = {
  invite_required: 'This cluster takes new people by invite: paste the token you were given.',
  invite_unknown: 'That token is not known, or has been used.',
  name_taken: 'That name is taken. Choose another.',
  bad_credentials: 'Wrong name or password.',
};

export class SignView {
  /** @param {import('../app.js').App} app */
  constructor(app) {
    this.app = app;
    this.is_new = false;
    this.is_busy = false;
    const field = (id, label, attributes, note) =>
      h(
        'label',
        { class: 'field' },
        h('span', {}, label),
        h('input', { 'data-testid': id, autocapitalize: 'none', spellcheck: 'false', ...attributes }),
        note && h('small', { class: 'muted' }, note),
      );
    this.name = field('sign-name', 'Name', { name: 'username', autocomplete: 'username', required: true, maxlength: '32' });
    this.password = field('sign-password', 'Password', {
      name: 'password', type: 'password', autocomplete: 'current-password', required: true, maxlength: '128',
    });
    this.invite = field(
      'sign-invite', 'Invite or owner token', { name: 'invite', autocomplete: 'off', maxlength: '256' },
      'Leave it empty if the cluster is open to everyone.',
    );
    this.error = h('p', { class: 'error', role: 'alert', 'data-testid': 'sign-error' });
    this.submit = h('button', { type: 'submit', class: 'primary wide' });
    const tab = (id, label, is_new) =>
      h('button', { type: 'button', role: 'tab', 'data-testid': id, onclick: () => this.turn(is_new) }, label);
    this.tabs = [tab('sign-tab-in', 'Sign in', false), tab('sign-tab-up', 'Create account', true)];
    this.form = h(
      'form',
      { class: 'sign-form', 'data-testid': 'sign-form', onsubmit: (event) => this.go(event) },
      h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Sign in or create an account' }, ...this.tabs),
      this.name, this.password, this.invite, this.error, this.submit,
    );
    this.notice = h('p', { class: 'notice', role: 'status' });
    this.element = h(
      'main',
      { class: 'sign' },
      h(
        'div',
        { class: 'sign-card' },
        h('img', { src: '/assets/icon.svg', alt: '', width: '56', height: '56' }),
        h('h1', {}, 'Holdfast'),
        h('p', { class: 'muted' }, 'Chat that goes on while machines die.'),
        this.notice,
        this.form,
      ),
    );
  }

  update() {
    const { app, is_new } = this;
    show(this.form, app.screen === 'sign');
    say(this.notice, app.screen === 'loading' ? app.notice || 'One moment \u2026' : app.notice);
    show(this.notice, this.notice.textContent !== '');
    const was_shown = this.is_shown;
    this.is_shown = app.screen === 'sign';
    this.tabs.forEach((tab, index) => set(tab, 'aria-selected', String((index === 1) === is_new)));
    show(this.invite, is_new);
    set(this.submit, 'data-testid', is_new ? 'sign-up' : 'sign-in');
    say(this.submit, this.is_busy ? 'One moment \u2026' : is_new ? 'Create account' : 'Sign in');
    set(this.input(this.password), 'autocomplete', is_new ? 'new-password' : 'current-password');
    set(this.input(this.password), 'minlength', is_new ? '8' : null);
    this.submit.disabled = this.is_busy;
    if (this.is_shown && !was_shown) this.begin();
  }

  /** A fresh form: whoever was here has an account now, or none. */
  begin() {
    this.is_new = false;
    this.form.reset();
    this.fail(null);
    this.input(this.name).focus();
    this.update();
  }

  input(field) {
    return field.querySelector('input');
  }

  turn(is_new) {
    this.is_new = is_new;
    this.fail(null);
    this.update();
  }

  fail(error) {
    say(this.error, error === null ? '' : (HINTS[error.code] ?? reason(error)));
    set(this.error, 'data-code', error?.code);
  }

  async go(event) {
    event.preventDefault();
    if (this.is_busy) return;
    this.is_busy = true;
    this.fail(null);
    this.update();
    const [name, password, invite] = [this.name, this.password, this.invite].map((field) => this.input(field).value);
    try {
      if (this.is_new) await this.app.signUp(name.trim(), password, invite.trim());
      else await this.app.signIn(name.trim(), password);
      for (const field of [this.password, this.invite]) this.input(field).value = '';
    } catch (error) {
      this.fail(error);
    }
    this.is_busy = false;
    this.update();
  }
}
