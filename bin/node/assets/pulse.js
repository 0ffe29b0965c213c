// How the cluster does, as the node in use tells it, and whether that node lives.
//
// A socket that stands says how the cluster does whenever that changes; the node is asked all the same,
// for a sign of life: a browser is not shown pings. A node that does not answer twice in a row counts
// as dead, and where there is none it is asked who else may be.

import { ApiError } from './api.js';

const PAUSE_MS = 1_500;
const PAUSE_FAST_MS = 500;
const PAUSE_HIDDEN_MS = 10_000;
const TIMEOUT_MS = 1_500;
const MISSES_MAX = 2;
const LEADERLESS_MS = 1_200;
const UNHEARD_MS = 3_000;

export class Pulse {
  /**
   * @param {import('./nodes.js').Nodes} nodes
   * @param {import('./socket.js').Live} live
   * @param {{ask: (node: string, timeout_ms: number) => Promise<any>, onPicture: () => void,
   *   onMiss: () => void}} on `ask`: the cluster as that node sees it, or the ApiError that came of it
   */
  constructor(nodes, live, on) {
    this.nodes = nodes;
    this.live = live;
    this.on = on;
    /** Counts how often it was stopped: answers of before then are told to nobody. */
    this.stops = 0;
    this.timer = 0;
    this.stop();
  }

  stop() {
    this.stops += 1;
    clearTimeout(this.timer);
    /** The cluster as a node told last. @type {any} */
    this.cluster = null;
    this.heard_at = 0;
    this.leaderless_since = 0;
    this.misses = 0;
  }

  /** Asks the node in use now, and from now on. */
  async ask() {
    const { stops } = this;
    const node = this.live.node ?? this.nodes.current;
    const answer = await this.on.ask(node, TIMEOUT_MS);
    if (stops !== this.stops) return;
    if (answer instanceof ApiError) this.missed(node, answer);
    else this.answered(answer);
    // Who looks again after a while asks at once: one question at a time follows.
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), this.pause_ms);
  }

  missed(node, error) {
    if (error.status === 0 && this.live.node === node && ++this.misses >= MISSES_MAX) this.live.silent();
    if (this.live.node === null) this.nodes.leave(node);
    this.on.onMiss();
  }

  answered(cluster) {
    this.misses = 0;
    this.told(cluster);
  }

  /** The socket stands: its node lives. */
  connected() {
    this.misses = 0;
  }

  /** A picture of the cluster has come, one way or the other. */
  told(cluster) {
    this.cluster = cluster;
    this.heard_at = performance.now();
    this.nodes.learn(cluster.nodes.map((one) => one.client));
    if (cluster.leader !== null) this.leaderless_since = 0;
    else this.leaderless_since ||= performance.now();
    this.on.onPicture();
  }

  get pause_ms() {
    // A node that may have died is asked again at once; where there is none, there is no hurry.
    if (this.misses > 0 && this.live.node !== null) return 0;
    if (document.hidden) return PAUSE_HIDDEN_MS;
    return this.leaderless_since > 0 || this.live.node === null ? PAUSE_FAST_MS : PAUSE_MS;
  }

  /** @returns {'connected' | 'reconnecting' | 'waiting'} */
  get state() {
    if (this.is_unheard) return 'reconnecting';
    const is_leaderless = this.leaderless_since > 0 && performance.now() - this.leaderless_since > LEADERLESS_MS;
    if (is_leaderless) return 'waiting';
    return this.live.node === null ? 'reconnecting' : 'connected';
  }

  /** Is there no node that answers? */
  get is_unheard() {
    return this.live.node === null && this.cluster !== null && performance.now() - this.heard_at > UNHEARD_MS;
  }

  /** The node in use, as far as it is known. @returns {any} */
  get node() {
    const address = this.live.node;
    return this.cluster?.nodes.find((one) => this.nodes.reach(one.client) === address) ?? null;
  }
}
