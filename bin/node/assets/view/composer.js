// Where one writes. Enter sends, Shift+Enter begins a line; a draft stays with its conversation.

import { h, icon, iconButton, say, set, show } from '../dom.js';
import { visible } from '../text.js';

/** A message's text, in bytes of UTF-8. */
const TEXT_BYTES_MAX = 16 << 10;
const HEIGHT_MAX_PX = 220;
const encoder = new TextEncoder();

export class Composer {
  /**
   * @param {import('../app.js').App} app
   * @param {{send: (text: string) => void, edit: (message: any, text: string) => void, last: () => any}} on
   */
  constructor(app, on) {
    this.app = app;
    this.on = on;
    /** @type {string | null} */
    this.label = null;
    /** The message being edited. @type {any} */
    this.editing = null;
    this.input = h('textarea', {
      'data-testid': 'composer',
      rows: '1',
      dir: 'auto',
      enterkeyhint: 'send',
      onkeydown: (event) => this.key(event),
      oninput: () => this.changed(),
    });
    this.button = h('button', { type: 'submit', class: 'send', 'data-testid': 'send', 'aria-label': 'Send', title: 'Send' }, icon('send'));
    this.count = h('small', { class: 'count', role: 'status' });
    this.bar = h(
      'div',
      { class: 'editing-bar', 'data-testid': 'editing' },
      h('span', {}, 'Editing a message'),
      iconButton('close', 'Cancel editing', { 'data-testid': 'cancel-edit', onclick: () => this.stopEditing() }),
    );
    this.element = h(
      'form',
      { class: 'composer', onsubmit: (event) => this.submit(event) },
      this.bar,
      h('div', { class: 'composer-row' }, this.input, this.button),
      this.count,
    );
  }

  /** @param {string} label */
  use(label) {
    if (this.label === label) return;
    this.keep();
    this.label = label;
    this.editing = null;
    this.input.value = this.app.drafts.get(label) ?? '';
    const name = label.startsWith('#') ? `in ${label}` : `to ${visible(label.slice(1))}`;
    set(this.input, 'aria-label', `Message ${name}`);
    set(this.input, 'placeholder', `Message ${visible(label.startsWith('#') ? label : label.slice(1))}`);
    this.changed();
    if (matchMedia('(hover: hover)').matches) this.input.focus({ preventScroll: true });
  }

  keep() {
    if (this.label !== null && !this.editing) this.app.drafts.set(this.label, this.input.value);
  }

  /** Whoever wrote here has left. */
  forget() {
    this.label = null;
    this.editing = null;
    this.input.value = '';
    show(this.bar, false);
  }

  /** @param {any} message */
  startEditing(message) {
    this.keep();
    this.editing = message;
    this.input.value = message.text;
    this.changed();
    this.input.focus();
    this.app.tell();
  }

  stopEditing() {
    if (!this.editing) return;
    this.editing = null;
    this.input.value = this.app.drafts.get(this.label ?? '') ?? '';
    this.changed();
    this.input.focus();
    this.app.tell();
  }

  changed() {
    this.keep();
    show(this.bar, this.editing !== null);
    const bytes = encoder.encode(this.input.value).length;
    const is_long = bytes > TEXT_BYTES_MAX;
    say(this.count, bytes > TEXT_BYTES_MAX * 0.9 ? `${bytes} of ${TEXT_BYTES_MAX} bytes` : '');
    this.count.classList.toggle('error', is_long);
    this.button.disabled = is_long || this.input.value.trim() === '';
    this.input.style.height = 'auto';
    this.input.style.height = `${Math.min(this.input.scrollHeight, HEIGHT_MAX_PX)}px`;
  }

  key(event) {
    // An Enter that ends a composition; Safari tells it by the code alone.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      this.element.requestSubmit();
    } else if (event.key === 'Escape' && this.editing) {
      event.preventDefault();
      this.stopEditing();
    } else if (event.key === 'ArrowUp' && this.input.value === '' && !this.editing) {
      const last = this.on.last();
      if (!last) return;
      event.preventDefault();
      this.startEditing(last);
    }
  }

  submit(event) {
    event.preventDefault();
    const text = this.input.value;
    if (this.button.disabled) return;
    const { editing } = this;
    this.input.value = '';
    if (editing) {
      this.editing = null;
      this.input.value = this.app.drafts.get(this.label ?? '') ?? '';
      this.on.edit(editing, text);
    } else {
      this.on.send(text);
    }
    this.changed();
    this.app.tell();
  }
}
