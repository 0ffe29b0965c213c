// Short notices that go by themselves.

import { h, reconcile, say, set } from '../dom.js';

export class Toasts {
  constructor(app) {
    this.app = app;
    this.element = h('div', { class: 'toasts', role: 'status', 'aria-live': 'polite' });
  }

  update() {
    reconcile(
      this.element,
      this.app.toasts,
      (toast) => String(toast.id),
      () => h('p', { class: 'toast', 'data-testid': 'toast' }),
      (element, toast) => {
        say(element, toast.text);
        set(element, 'data-code', toast.code);
      },
    );
  }
}
