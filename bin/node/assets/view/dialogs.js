// Dialogs: one question at a time, over the page. Esc closes them, and the focus goes back to where
// it was.

import { h, iconButton, reconcile, say, set } from '../dom.js';
import { reason } from '../app.js';
import { visible } from '../text.js';
import { avatar } from './avatar.js';

let titles = 0;

/**
 * Opens a dialog; it is gone when it is closed.
 * @param {string} testid
 * @param {string} title
 * @param {...any} children
 */
export function dialog(testid, title, ...children) {
  const id = `dialog-title-${(titles += 1)}`;
  const element = h('dialog', { 'data-testid': testid, 'aria-labelledby': id });
  const close = iconButton('close', 'Close', { class: 'icon-button close', onclick: () => element.close() });
  element.append(h('header', {}, h('h2', { id }, title), close), ...children);
  element.addEventListener('close', () => element.remove());
  // A click beside it closes it.
  element.addEventListener('mousedown', (event) => event.target === element && element.close());
  document.body.append(element);
  element.showModal();
  return element;
}

export function closeAll() {
  for (const element of document.querySelectorAll('dialog[open]')) element.close();
}

/**
 * @param {{title: string, text: string, act: string}} question
 * @returns {Promise<boolean>}
 */
export function confirm({ title, text, act }) {
  return new Promise((answer) => {
    const element = dialog(
      'confirm-dialog',
      title,
      h('p', {}, text),
      h(
        'div',
        { class: 'dialog-foot' },
        h('button', { type: 'button', 'data-testid': 'cancel', onclick: () => element.close() }, 'Cancel'),
        h('button', { type: 'button', class: 'danger', 'data-testid': 'confirm', onclick: () => (answer(true), element.close()) }, act),
      ),
    );
    element.addEventListener('close', () => answer(false));
    element.querySelector('[data-testid="confirm"]').focus();
  });
}

/** @param {import('../app.js').App} app */
export function openChannelDialog(app) {
  const name = h('input', { 'data-testid': 'channel-name', required: true, maxlength: '33', autocapitalize: 'none', spellcheck: 'false' });
  const topic = h('input', { 'data-testid': 'channel-topic', maxlength: '250' });
  const is_private = h('input', { type: 'checkbox', 'data-testid': 'channel-private' });
  const error = h('p', { class: 'error', role: 'alert', 'data-testid': 'channel-error' });
  const submit = async (event) => {
    event.preventDefault();
    try {
      const channel = await app.createChannel(name.value.trim().replace(/^#/, ''), topic.value.trim(), is_private.checked);
      element.close();
      app.go(`#${channel.name}`);
    } catch (caught) {
      tellError(error, caught);
    }
  };
  const element = dialog(
    'channel-dialog',
    'New channel',
    h(
      'form',
      { onsubmit: submit },
      h('label', { class: 'field' }, h('span', {}, 'Name'), name, h('small', { class: 'muted' }, 'Letters, digits, dots, dashes and underscores.')),
      h('label', { class: 'field' }, h('span', {}, 'Topic (optional)'), topic),
      h('label', { class: 'check' }, is_private, h('span', {}, 'Private: people come in by invitation only')),
      error,
      h('div', { class: 'dialog-foot' }, h('button', { type: 'submit', class: 'primary', 'data-testid': 'channel-submit' }, 'Create channel')),
    ),
  );
  name.focus();
}

/**
 * @param {import('../app.js').App} app
 * @param {string} label
 */
export function openMembers(app, label) {
  const list = h('ul', { class: 'people' });
  const name = h('input', { 'data-testid': 'invite-name', required: true, maxlength: '33', placeholder: 'name', 'aria-label': 'Name of whom to invite', autocapitalize: 'none', spellcheck: 'false' });
  const error = h('p', { class: 'error', role: 'alert', 'data-testid': 'members-error' });
  const channel = `/v1/channels/${encodeURIComponent(label.slice(1))}`;
  const load = async () => {
    try {
      const { items } = await app.get(`${channel}/members`);
      reconcile(list, items, (item) => item.name, (item) => member(app, item, element), () => {});
    } catch (caught) {
      tellError(error, caught);
    }
  };
  const invite = async (event) => {
    event.preventDefault();
    tellError(error, null);
    try {
      await app.api.post(`${channel}/invites`, { user: name.value.trim().replace(/^@/, '') });
      name.value = '';
      await load();
    } catch (caught) {
      tellError(error, caught);
    }
  };
  const element = dialog(
    'members-dialog',
    `Members of ${visible(label)}`,
    h('form', { class: 'inline-form', onsubmit: invite }, name, h('button', { type: 'submit', class: 'primary', 'data-testid': 'invite-submit' }, 'Invite')),
    error,
    list,
  );
  let version = app.members_version;
  const unwatch = app.watch(() => {
    if (version === app.members_version) return;
    version = app.members_version;
    load();
  });
  element.addEventListener('close', unwatch);
  load();
}

function member(app, item, element) {
  const is_me = item.name === app.store.me?.name;
  const write = () => (element.close(), app.go(`@${item.name}`));
  return h(
    'li',
    { 'data-testid': 'member', 'data-user': item.name },
    avatar(item.name),
    h('bdi', {}, visible(item.name)),
    is_me && h('small', { class: 'muted' }, 'you'),
    item.role !== 'member' && h('small', { class: 'badge' }, item.role),
    !is_me && h('button', { type: 'button', class: 'link push', onclick: write }, 'Message'),
  );
}

/**
 * @param {import('../app.js').App} app
 */
export async function openDeleteAccount(app) {
  const { store } = app;
  const { unread } = await app.get('/v1/me').catch(() => ({ unread: 0 }));
  if (store !== app.store) return;
  const password = h('input', { type: 'password', 'data-testid': 'delete-password', required: true, autocomplete: 'current-password' });
  const erase = h('input', { type: 'checkbox', 'data-testid': 'delete-erase' });
  const error = h('p', { class: 'error', role: 'alert', 'data-testid': 'delete-error' });
  const count = unread === 1 ? '1 message is unread' : `${unread} messages are unread`;
  const submit = async (event) => {
    event.preventDefault();
    try {
      await app.deleteAccount(password.value, erase.checked);
      element.close();
    } catch (caught) {
      tellError(error, caught);
    }
  };
  const element = dialog(
    'delete-account-dialog',
    'Delete your account',
    h(
      'form',
      { onsubmit: submit },
      h('p', { 'data-testid': 'delete-unread' }, unread === 0 ? 'You have read everything that was sent to you.' : `${count}: you will never read what they say.`),
      h('p', {}, 'You are signed out everywhere and leave every channel. Your name cannot be taken again, by you or by anyone. This cannot be undone.'),
      h('p', {}, 'What you wrote stays, signed \u201cdeleted user\u201d, unless you have it erased as well.'),
      h('label', { class: 'check' }, erase, h('span', {}, 'Erase every message I have sent')),
      h('label', { class: 'field' }, h('span', {}, 'Your password'), password),
      error,
      h('div', { class: 'dialog-foot' }, h('button', { type: 'submit', class: 'danger', 'data-testid': 'delete-submit' }, 'Delete my account')),
    ),
  );
  password.focus();
}

/** @param {any} element @param {any} error */
export function tellError(element, error) {
  say(element, error === null ? '' : reason(error));
  set(element, 'data-code', error?.code);
}
