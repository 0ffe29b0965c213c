// The live connection: one WebSocket to the node in use, from the cursor on.
//
// When the node dies the next one is asked, and nothing is lost or repeated: the cursor is of the
// log, which is the same everywhere. A node that is silent counts as dead: a browser is not shown
// pings, so someone who asks the node now and then says `silent()`.

const READY_MS = 2_500;
const JITTER_MS = 80;
const ROUND_PAUSE_MS = 300;
const ROUND_PAUSE_MAX_MS = 3_000;

export class Live {
  /**
   * @param {import('./nodes.js').Nodes} nodes
   * @param {{token: () => string | null, cursor: () => string | null, onFrame: (frame: any) => void,
   *   onState: (state: 'connected' | 'reconnecting') => void, onRefused: (error: any) => void}} on
   */
  constructor(nodes, on) {
    this.nodes = nodes;
    this.on = on;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.is_ready = false;
    this.is_stopped = true;
    this.failures = 0;
    this.timer = 0;
  }

  /** The node that it is connected to. @returns {string | null} */
  get node() {
    return this.is_ready ? this.address : null;
  }

  start() {
    if (!this.is_stopped) return;
    this.is_stopped = false;
    this.failures = 0;
    this.connect();
  }

  stop() {
    this.is_stopped = true;
    clearTimeout(this.timer);
    this.drop();
  }

  /** @returns {boolean} whether it went out */
  send(frame) {
    if (!this.is_ready) return false;
    this.socket?.send(JSON.stringify(frame));
    return true;
  }

  /** The node does not answer: go on to the next. */
  silent() {
    if (this.is_stopped) return;
    const { address } = this;
    this.drop();
    this.lost(address);
  }

  connect() {
    const address = this.nodes.current;
    this.address = address;
    const socket = new WebSocket(`${address.replace(/^http/, 'ws')}/v1/events`);
    this.socket = socket;
    this.timer = setTimeout(() => this.silent(), READY_MS);
    const isOld = () => this.socket !== socket;
    socket.onopen = () => {
      if (isOld()) return;
      const hello = { type: 'hello', token: this.on.token() ?? '', cluster: true };
      const cursor = this.on.cursor();
      if (cursor !== null) hello.after = cursor;
      socket.send(JSON.stringify(hello));
    };
    socket.onmessage = ({ data }) => {
      if (isOld()) return;
      const frame = JSON.parse(data);
      if (frame.type === 'error') this.refusal = frame.error;
      else if (frame.type === 'ready') this.ready(frame);
      else this.on.onFrame(frame);
    };
    socket.onclose = () => {
      if (isOld()) return;
      const { refusal } = this;
      this.drop();
      if (refusal && ['unauthenticated', 'session_ended', 'cursor_ahead'].includes(refusal.code)) {
        this.on.onState('reconnecting');
        this.on.onRefused(refusal);
      } else {
        this.lost(address);
      }
    };
  }

  ready(frame) {
    clearTimeout(this.timer);
    this.is_ready = true;
    this.failures = 0;
    this.on.onFrame(frame);
    this.on.onState('connected');
  }

  /** Tries again, without leaving the node. */
  again() {
    if (this.is_stopped || this.socket) return;
    clearTimeout(this.timer);
    this.connect();
  }

  drop() {
    clearTimeout(this.timer);
    const { socket } = this;
    this.socket = null;
    this.is_ready = false;
    this.refusal = null;
    socket?.close();
  }

  lost(address) {
    if (this.is_stopped) return;
    this.on.onState('reconnecting');
    this.nodes.leave(address);
    this.failures += 1;
    // Every node is tried once without waiting; then ever more slowly. The jitter keeps the pages of
    // a dead node from coming to the next all at once.
    const rounds = Math.floor(this.failures / this.nodes.urls.length);
    const pause_ms = rounds === 0 ? 0 : Math.min(ROUND_PAUSE_MS * 2 ** (rounds - 1), ROUND_PAUSE_MAX_MS);
    this.timer = setTimeout(() => this.connect(), pause_ms + Math.random() * JITTER_MS);
  }
}
