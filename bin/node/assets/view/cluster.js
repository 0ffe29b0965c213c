// The cluster as the node in use sees it: a live picture, the same in a table, and which losses are
// survived now.

import { h, icon, reconcile, s, say, set, show } from '../dom.js';
import { remarks, survives } from '../text.js';

const WIDTH = 460;
const HEIGHT = 320;
const MODES = { majority: 'majority', pair: 'pair', armed: 'armed survivor', solo: 'single node' };

export class ClusterView {
  /** @param {import('../app.js').App} app */
  constructor(app) {
    this.app = app;
    this.words = h('p', { class: 'survives', 'data-testid': 'survives', role: 'status' });
    this.remarks = h('ul', { class: 'remarks', 'data-testid': 'remarks', 'aria-label': 'Remarks' });
    const fact = (id, label) => {
      const value = h('dd', { 'data-testid': id });
      return { value, element: h('div', {}, h('dt', {}, label), value) };
    };
    this.facts = {
      name: fact('cluster-name', 'Cluster'),
      leader: fact('cluster-leader', 'Leader'),
      term: fact('cluster-term', 'Term'),
      commit: fact('cluster-commit', 'Committed'),
      mode: fact('cluster-mode', 'Quorum'),
    };
    this.links = s('g', { class: 'links' });
    this.dots = s('g', {});
    this.picture = s('svg', { class: 'picture', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'data-testid': 'cluster-picture' }, this.links, this.dots);
    this.rows = h('tbody', {});
    const columns = ['Node', 'Role', 'Reachable', 'Term', 'Commit', 'Applied', 'Durable', 'Lag', 'Version'];
    this.element = h(
      'section',
      { class: 'page-view', 'data-testid': 'cluster-view', 'aria-label': 'Cluster' },
      h(
        'header',
        { class: 'pane-head' },
        h('a', { class: 'icon-button back', href: '#/', 'data-testid': 'back', 'aria-label': 'Back to the list' }, icon('back')),
        h('div', { class: 'titles' }, h('h1', {}, 'Cluster')),
      ),
      h(
        'div',
        { class: 'scroll' },
        h(
          'div',
          { class: 'wide-view' },
          this.words,
          this.remarks,
          h('dl', { class: 'facts' }, ...Object.values(this.facts).map((one) => one.element)),
          h('figure', { class: 'figure' }, this.picture),
          h(
            'div',
            { class: 'table-box', tabindex: '0', role: 'region', 'aria-label': 'Nodes' },
            h('table', {}, h('caption', { class: 'unseen' }, 'Nodes of the cluster'), h('thead', {}, h('tr', {}, ...columns.map((name) => h('th', { scope: 'col' }, name)))), this.rows),
          ),
        ),
      ),
    );
  }

  hidden() {}

  update() {
    const { pulse } = this.app;
    const cluster = pulse.is_unheard ? unheard(pulse.cluster) : pulse.cluster;
    if (!cluster) {
      say(this.words, 'Asking the cluster \u2026');
      return;
    }
    const live = cluster.nodes.filter((one) => one.reachable && one.part === 'voter').map((one) => one.id);
    const is_served = cluster.leader !== null;
    say(this.words, pulse.is_unheard ? 'No node answers.' : is_served ? sentence(survives(cluster.survives, live)) : 'No quorum: nothing can be written until enough nodes are back.');
    set(this.words, 'data-state', !is_served ? 'lost' : cluster.survives.length === 0 ? 'edge' : 'good');
    const { facts } = this;
    say(facts.name.value, cluster.cluster);
    say(facts.leader.value, is_served ? `node ${cluster.leader}` : 'none');
    say(facts.term.value, String(cluster.term));
    say(facts.commit.value, String(Math.max(...cluster.nodes.map((one) => one.commit))));
    say(facts.mode.value, MODES[cluster.mode] ?? cluster.mode);
    this.list(pulse.is_unheard ? [] : remarks(cluster));
    this.draw(cluster);
    this.table(cluster);
  }

  list(found) {
    show(this.remarks, found.length > 0);
    const make = (one) => h('li', { 'data-testid': 'remark', 'data-kind': one.kind, 'data-node': one.node }, h('span', {}), h('code', {}));
    reconcile(this.remarks, found, (one) => `${one.kind} ${one.node}`, make, ({ children: [text, command] }, one) => {
      say(text, one.text);
      say(command, one.command);
      show(command, one.command !== '');
    });
  }

  draw(cluster) {
    const told = cluster.nodes.map((one) => `node ${one.id} ${one.role}`).join(', ');
    set(this.picture, 'aria-label', `${cluster.nodes.length} nodes: ${told}`);
    const places = place(cluster.nodes.length);
    const leader = cluster.nodes.findIndex((one) => one.role === 'leader');
    const spokes = leader < 0 ? [] : cluster.nodes.map((one, index) => ({ ...one, index })).filter((one) => one.index !== leader);
    reconcile(this.links, spokes, (one) => String(one.id), () => s('line', {}), (line, one) => {
      const [from, to] = [places[leader], places[one.index]];
      for (const [name, value] of Object.entries({ x1: from.x, y1: from.y, x2: to.x, y2: to.y })) set(line, name, value);
      set(line, 'class', !one.reachable ? 'link-gone' : one.lag > 0 ? 'link-lagging' : 'link-good');
    });
    reconcile(this.dots, cluster.nodes, (one) => String(one.id), makeDot, (dot, one, index) => {
      fillDot(dot, one, places[index], one.id === this.app.pulse.node?.id);
    });
  }

  table(cluster) {
    const make = (one) => {
      const cells = Array.from({ length: 9 }, (_, index) => h(index === 0 ? 'th' : 'td', index === 0 ? { scope: 'row' } : {}));
      const row = h('tr', { 'data-testid': 'node-row', 'data-node': one.id }, ...cells);
      row.cells_held = cells;
      return row;
    };
    reconcile(this.rows, cluster.nodes, (one) => String(one.id), make, (row, one) => {
      const is_used = one.id === this.app.pulse.node?.id;
      set(row, 'data-role', one.role);
      set(row, 'data-reachable', String(one.reachable));
      set(row, 'data-connected', String(is_used));
      const numbers = one.reachable ? [one.term, one.commit, one.applied, one.durable, one.lag] : ['', '', '', '', ''];
      const texts = [`${one.id}${is_used ? ' (in use)' : ''}`, part(one), one.reachable ? 'yes' : 'no', ...numbers, one.version];
      texts.forEach((text, index) => say(row.cells_held[index], String(text)));
    });
  }
}

/** The cluster of which nothing is heard: what was last heard is not shown as if it were so. */
function unheard(cluster) {
  const nodes = cluster.nodes.map((one) => ({ ...one, role: 'absent', reachable: false }));
  return { ...cluster, leader: null, survives: [], nodes };
}

function sentence(text) {
  return `The cluster ${text}.`;
}

/** Its role, and what is special about it. */
function part(one) {
  const special = [one.part !== 'voter' && one.part !== one.role && one.part, one.draining && 'drained'].filter(Boolean);
  return [one.role, ...special].join(', ');
}

/** Places on an ellipse, the first at the top. */
function place(count) {
  return Array.from({ length: count }, (_, index) => {
    const angle = (2 * Math.PI * index) / count - Math.PI / 2;
    const [rx, ry] = count < 2 ? [0, 0] : [WIDTH / 2 - 82, HEIGHT / 2 - 66];
    return { x: Math.round(WIDTH / 2 + rx * Math.cos(angle)), y: Math.round(HEIGHT / 2 - 6 + ry * Math.sin(angle)) };
  });
}

function makeDot(one) {
  const dot = s(
    'g',
    { 'data-testid': 'picture-node', 'data-node': one.id },
    s('circle', { class: 'ring', r: 35 }),
    s('circle', { class: 'disc', r: 29 }),
    s('path', { class: 'crown', d: 'M-11 6h22l3-13-7 5-7-9-7 9-7-5z', transform: 'translate(0 -41)' }),
    s('text', { class: 'number', y: 7 }, String(one.id)),
    s('text', { class: 'role', y: 54 }),
    s('text', { class: 'index', y: 70 }),
  );
  [, , , , dot.role_text, dot.index_text] = dot.children;
  return dot;
}

function fillDot(dot, one, { x, y }, is_used) {
  set(dot, 'transform', `translate(${x} ${y})`);
  set(dot, 'class', `node node-${one.role}${is_used ? ' node-used' : ''}`);
  set(dot, 'data-role', one.role);
  set(dot, 'data-reachable', String(one.reachable));
  say(dot.role_text, one.role === 'absent' ? 'not reachable' : is_used ? `${one.role} \u00b7 in use` : one.role);
  say(dot.index_text, one.reachable ? (one.lag > 0 ? `${one.lag} behind` : `at ${one.applied}`) : '');
}
