// The frame of the page: the screen for whoever is not signed in, or the list of conversations
// beside what is open.

import { h, say, set, show } from '../dom.js';
import { AccountView } from './account.js';
import { Banner } from './banner.js';
import { ChannelsView } from './channels.js';
import { ClusterView } from './cluster.js';
import { ConversationView } from './conversation.js';
import { closeAll } from './dialogs.js';
import { openFinder } from './finder.js';
import { Sidebar } from './sidebar.js';
import { SignView } from './sign.js';
import { Toasts } from './toasts.js';

export class Page {
  /** @param {import('../app.js').App} app */
  constructor(app) {
    this.app = app;
    this.sign = new SignView(app);
    this.banner = new Banner(app);
    this.sidebar = new Sidebar(app);
    this.toasts = new Toasts(app);
    this.views = {
      list: new Welcome(app),
      conversation: new ConversationView(app),
      cluster: new ClusterView(app),
      account: new AccountView(app),
      channels: new ChannelsView(app),
    };
    this.main = h('div', { class: 'main' }, ...Object.values(this.views).map((view) => view.element));
    this.frame = h('main', { class: 'frame' }, this.banner.element, this.sidebar.element, this.main);
    this.element = h('div', { class: 'page' }, this.sign.element, this.frame, this.toasts.element);
    document.addEventListener('keydown', (event) => this.key(event));
    app.watch(() => this.update());
    this.update();
  }

  update() {
    const { app } = this;
    const is_main = app.screen === 'main';
    show(this.sign.element, !is_main);
    show(this.frame, is_main);
    set(this.frame, 'data-testid', is_main ? 'app' : null);
    set(this.frame, 'data-user', app.store.me?.name);
    set(this.frame, 'data-view', app.route.view);
    this.toasts.update();
    this.sign.update();
    const was_main = this.is_main;
    this.is_main = is_main;
    if (!is_main) {
      if (was_main) this.forget();
      return;
    }
    this.banner.update();
    this.sidebar.update();
    for (const [name, view] of Object.entries(this.views)) {
      show(view.element, name === app.route.view);
      if (name === app.route.view) view.update();
      else view.hidden();
    }
    const unread = app.store.list().reduce((sum, one) => sum + one.unread, 0);
    document.title = unread > 0 ? `(${unread}) Holdfast` : 'Holdfast';
  }

  /** Nothing of whoever was here is left for the next. */
  forget() {
    closeAll();
    for (const view of Object.values(this.views)) view.forget?.();
    this.sidebar.update();
    document.title = 'Holdfast';
  }

  key(event) {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 'k' && this.app.screen === 'main') {
      event.preventDefault();
      openFinder(this.app);
    }
  }
}

/** What stands beside the list when nothing is open. */
class Welcome {
  constructor(app) {
    this.app = app;
    this.text = h('p', {});
    this.element = h(
      'section',
      { class: 'welcome', 'aria-label': 'Welcome' },
      h('h1', {}, 'Nothing open'),
      this.text,
      h(
        'div',
        { class: 'row' },
        h('button', { type: 'button', class: 'primary', onclick: () => openFinder(app) }, 'Find a person'),
        h('a', { class: 'button', href: '#/channels' }, 'Browse channels'),
      ),
      h('p', { class: 'muted' }, h('kbd', {}, 'Ctrl'), ' + ', h('kbd', {}, 'K'), ' finds people and channels from anywhere.'),
    );
  }

  update() {
    const is_empty = this.app.store.list().length === 0;
    say(this.text, is_empty
      ? 'You have no conversations yet. Write to someone, or join a channel.'
      : 'Pick a conversation on the left, write to someone, or join a channel.');
  }

  hidden() {}
}
