// One line of a conversation: a message, one that is still to be sent, a day, or the mark where
// reading stopped.

import { h, iconButton, set } from '../dom.js';
import { bareTime, clockTime, dayName, harmless, parts, visible } from '../text.js';
import { avatar } from './avatar.js';

const GROUP_MS = 5 * 60_000;

/**
 * @typedef {object} Row
 * @property {string} key
 * @property {'date' | 'marker' | 'message'} kind
 * @property {string} [text]
 * @property {any} [message]
 * @property {any} [item] what is still to be sent
 * @property {boolean} [is_grouped] the author stands above
 * @property {boolean} [is_mine]
 */

/**
 * The lines of a conversation.
 * @param {any} one
 * @param {any[]} unsent
 * @param {{me: string, marker: number | null}} how
 * @returns {Row[]}
 */
export function rows(one, unsent, { me, marker }) {
  /** @type {Row[]} */
  const found = [];
  let day = '';
  let before = null;
  let is_marked = marker === null;
  const put = (message, item, author, time_ms) => {
    const date = new Date(time_ms);
    if (time_ms && date.toDateString() !== day) {
      day = date.toDateString();
      found.push({ key: `d${day}`, kind: 'date', text: dayName(date) });
      before = null;
    }
    if (!is_marked && message && message.seq > marker && author !== me) {
      is_marked = true;
      found.push({ key: 'marker', kind: 'marker' });
      before = null;
    }
    const is_grouped = before !== null && before.author === author && time_ms - before.time_ms < GROUP_MS;
    before = author === undefined ? null : { author, time_ms };
    const key = item?.request_id ?? message.request_id ?? `s${message.seq}`;
    found.push({ key, kind: 'message', message, item, is_grouped, is_mine: author === me });
  };
  for (const message of one.messages) {
    put(message, null, message.deleted ? undefined : message.author, message.time ? Date.parse(message.time) : 0);
  }
  if (!one.more_after) for (const item of unsent) put(null, item, me, item.time_ms);
  return found;
}

/** @param {Row} row */
export function make(row) {
  if (row.kind === 'date') {
    return h('li', { class: 'date', 'data-testid': 'date-separator' }, h('span', {}, row.text));
  }
  if (row.kind === 'marker') {
    return h('li', { class: 'marker', 'data-testid': 'unread-marker' }, h('span', {}, 'New messages'));
  }
  return h('li', { class: 'message', 'data-testid': 'message', tabindex: '-1' });
}

/**
 * @param {any} element
 * @param {Row} row
 * @param {{me: string, on: any, editing: string | null, is_held_up: boolean}} how
 */
export function update(element, row, how) {
  if (row.kind !== 'message') return;
  const { message, item } = row;
  const state = item ? item.state : 'sent';
  const signature = JSON.stringify([
    state, row.is_grouped, message?.seq, message?.text, message?.edited, message?.deleted, message?.author,
    item?.error?.code, item && how.is_held_up, how.editing === message?.id,
  ]);
  if (element.signature === signature) return;
  element.signature = signature;
  const author = message ? (message.author ?? '') : how.me;
  const is_deleted = message?.deleted === true;
  const marks = {
    'data-id': message?.id,
    'data-seq': message?.seq,
    'data-state': state,
    'data-request-id': item?.request_id ?? message?.request_id,
    'data-author': author || null,
    'data-mine': String(row.is_mine === true),
    'data-deleted': String(is_deleted),
    'data-edited': String(message?.edited === true),
  };
  for (const [name, value] of Object.entries(marks)) set(element, name, value);
  element.classList.toggle('grouped', row.is_grouped === true);
  element.classList.toggle('deleted', is_deleted);
  element.classList.toggle('editing', message !== null && how.editing === message?.id);
  if (is_deleted) {
    element.replaceChildren(h('p', { class: 'text', 'data-testid': 'message-text' }, 'Message deleted'));
    return;
  }
  const time = new Date(message ? message.time : item.time_ms);
  element.replaceChildren(
    h('div', { class: 'gutter' }, row.is_grouped ? stamp(time, bareTime) : avatar(author)),
    h('div', { class: 'body' }, !row.is_grouped && head(author, time, row.is_mine), text(message, item), message?.edited && h('small', { class: 'edited' }, 'edited'), fate(item, how)),
    ...(message ? [actions(message, row.is_mine, how.on)] : []),
  );
}

function head(author, time, is_mine) {
  return h(
    'p',
    { class: 'head' },
    h('bdi', { class: is_mine ? 'author mine' : 'author', 'data-testid': 'message-author' }, visible(author)),
    stamp(time),
  );
}

function stamp(time, form = clockTime) {
  return h(
    'time',
    { class: 'stamp', 'data-testid': 'message-time', datetime: time.toISOString(), title: time.toLocaleString() },
    form(time),
  );
}

function text(message, item) {
  const element = h('p', { class: 'text', 'data-testid': 'message-text', dir: 'auto' });
  for (const part of parts(harmless((message ? message.text : item.text) ?? ''))) {
    if (part.href === null) element.append(part.text);
    else element.append(h('a', { href: part.href, rel: 'noreferrer noopener', target: '_blank' }, part.text));
  }
  return element;
}

/** What becomes of a message that is not in the log yet. */
function fate(item, { on, is_held_up }) {
  if (!item) return null;
  if (item.state === 'pending') return h('p', { class: 'fate' }, is_held_up ? 'Waits to be sent' : 'Sending \u2026');
  const told = unsaid(item.error);
  return h(
    'p',
    { class: 'fate failed' },
    h('span', {}, told),
    h('button', { type: 'button', class: 'link', 'data-testid': 'retry', onclick: () => on.retry(item) }, 'Try again'),
    h('button', { type: 'button', class: 'link', 'data-testid': 'discard', onclick: () => on.discard(item) }, 'Discard'),
  );
}

function unsaid(error) {
  if (!error) return 'Not sent.';
  if (error.code === 'outcome_unknown') return 'Perhaps not sent: no node could say.';
  return `Not sent: ${error.message}.`;
}

function actions(message, is_mine, on) {
  return h(
    'div',
    { class: 'actions' },
    is_mine && iconButton('edit', 'Edit message', { 'data-testid': 'edit', onclick: () => on.edit(message) }),
    iconButton('trash', is_mine ? 'Delete message' : 'Delete message for me', {
      'data-testid': 'delete',
      onclick: () => on.remove(message, is_mine),
    }),
  );
}
