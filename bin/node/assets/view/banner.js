// The thin line at the top: which node is in use, and whether messages get through.

import { h, say, set } from '../dom.js';
import { survives } from '../text.js';

export class Banner {
  /** @param {import('../app.js').App} app */
  constructor(app) {
    this.app = app;
    this.text = h('span', { class: 'banner-text' });
    this.count = h('span', { class: 'banner-count' });
    this.survives = h('span', {});
    this.more = h('a', { class: 'banner-more', href: '#/cluster' }, this.count, this.survives);
    this.element = h(
      'div',
      { class: 'banner', 'data-testid': 'banner', role: 'status' },
      h('span', { class: 'dot', 'aria-hidden': 'true' }),
      this.text,
      this.more,
    );
  }

  update() {
    const { app } = this;
    const { state, node, cluster } = app.pulse;
    set(this.element, 'data-state', state);
    set(this.element, 'data-first', !app.was_connected);
    set(this.element, 'data-node', node?.id);
    set(this.element, 'data-endpoint', app.live.node);
    say(this.text, words(state, node, app));
    const live = cluster?.nodes.filter((one) => one.reachable).map((one) => one.id) ?? [];
    const is_known = state === 'connected' && cluster !== null;
    say(this.count, is_known ? `${live.length} of ${cluster.nodes.length} nodes up \u00b7 ` : '');
    say(this.survives, is_known ? survives(cluster.survives, live) : '');
  }
}

function words(state, node, app) {
  if (state === 'waiting') return 'No quorum: messages wait until nodes are back';
  if (state === 'reconnecting') return app.was_connected ? 'Reconnecting \u2026' : 'Connecting \u2026';
  const name = node ? `node ${node.id}` : new URL(app.live.node ?? app.nodes.current).host;
  return `Connected to ${name}`;
}
