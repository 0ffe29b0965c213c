// HTTP to whichever node answers.
//
// A write carries one request id through all its tries, on all nodes: it takes effect at most once.
// The token is kept in memory alone. It lives ten minutes and is renewed in half that time: by the
// page's cookie where the page came from, by itself anywhere else.

const PATIENCE_MS = 20_000;
const TRY_MS = 5_000;
const PAUSE_MS = 150;
const PAUSE_MAX_MS = 2_000;

/** What a node refused, or that no node answered. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 when no node answered
   * @param {string} code
   * @param {string} message
   * @param {string} hint
   */
  constructor(status, code, message, hint = '') {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
    /** How long the node asks to wait. @type {number | undefined} */
    this.wait_ms = undefined;
  }
}

export class Api {
  /**
   * @param {import('./nodes.js').Nodes} nodes
   * @param {import('./uuid7.js').Clock} clock
   * @param {import('./uuid7.js').Ids} ids
   */
  constructor(nodes, clock, ids) {
    this.nodes = nodes;
    this.clock = clock;
    this.ids = ids;
    /** @type {string | null} */
    this.token = null;
    this.expires_ms = 0;
    /** The renewal under way. @type {Promise<void> | null} */
    this.renewing = null;
    /** Called when the session has ended. */
    this.onEnded = () => {};
  }

  get(path) {
    return this.call('GET', path);
  }

  post(path, body) {
    return this.call('POST', path, body);
  }

  /**
   * One request, tried until it is answered for good.
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @param {{key?: string, open?: boolean, patience_ms?: number}} [how] `open`: without a token
   * @returns {Promise<any>} the answer's JSON, or null
   */
  async call(method, path, body, how = {}) {
    const key = method === 'GET' ? null : (how.key ?? this.ids.next());
    const until = performance.now() + (how.patience_ms ?? PATIENCE_MS);
    let renewed = false;
    for (let tries = 1; ; tries += 1) {
      const node = this.nodes.current;
      const answer = await this.attempt(node, method, path, body, key, how.open);
      if (!(answer instanceof ApiError)) return answer.json;
      let error = answer;
      if (error.status === 401 && error.code !== 'bad_credentials' && !how.open) {
        // Either the token ended, or the session did: then its renewal is refused as well.
        if (renewed) throw error;
        renewed = true;
        const failure = await this.renew().then(() => null, (caught) => caught);
        if (failure === null) continue;
        error = failure;
      }
      const again = [0, 429, 503, 504].includes(error.status);
      const wait_ms = error.wait_ms ?? Math.min(PAUSE_MS * tries, PAUSE_MAX_MS) * (0.5 + Math.random());
      if (!again || performance.now() + wait_ms > until) throw error;
      // A node that was lost, or can do nothing, is left; one that asks to wait is waited for.
      if (answer.status === 0 || answer.status === 503) this.nodes.leave(node);
      const hurry = error.status === 0 && tries < this.nodes.urls.length;
      if (!hurry) await pause(wait_ms);
    }
  }

  /** One try, at one node. @returns {Promise<{json: any} | ApiError>} */
  async attempt(node, method, path, body, key, open = false, try_ms = TRY_MS) {
    if (!open && path !== '/v1/token') await this.keepFresh();
    const headers = { 'Holdfast-Timeout-Ms': String(Math.floor(try_ms * 0.9)) };
    if (key !== null) headers['Idempotency-Key'] = key;
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    if (!open && this.token) headers.Authorization = `Bearer ${this.token}`;
    let answer, text;
    try {
      answer = await fetch(node + path, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        credentials: 'same-origin',
        cache: 'no-store',
        signal: AbortSignal.timeout(try_ms),
      });
      text = await answer.text();
    } catch {
      return new ApiError(0, 'unreachable', 'no node of the cluster answers', 'check the network');
    }
    this.clock.hear(answer.headers.get('Holdfast-Time'));
    const json = parse(text);
    if (answer.ok) return { json };
    const { code = 'unknown', message = `the node answered ${answer.status}`, hint = '' } = json?.error ?? {};
    const error = new ApiError(answer.status, code, message, hint);
    const after_s = Number(answer.headers.get('Retry-After'));
    if (answer.status === 429 && after_s > 0) error.wait_ms = after_s * 1000;
    return error;
  }

  /**
   * Takes a session that was just opened; its token is changed for one that lives shortly.
   * @param {string} token
   */
  async open(token) {
    this.token = token;
    this.expires_ms = Infinity;
    await this.fromToken();
  }

  /**
   * Goes on with the session that the browser remembers.
   * @returns {Promise<boolean>} whether it remembers one
   */
  async resume() {
    return (await this.fromCookie()) === null;
  }

  /** Has the token renewed before it ends; if that fails, there is time for more tries. */
  async keepFresh() {
    if (this.token && this.clock.now() > this.expires_ms) await this.renew().catch(() => {});
  }

  /** A new token: asked for once, however many want it. */
  renew() {
    this.renewing ??= this.renewNow().finally(() => (this.renewing = null));
    return this.renewing;
  }

  async renewNow() {
    const refusal = (await this.fromToken()) && (await this.fromCookie());
    if (refusal === null) return;
    if (refusal.status === 401) this.end();
    throw refusal;
  }

  /** By the token itself, on any node. @returns {Promise<ApiError | null>} */
  async fromToken() {
    let refusal = new ApiError(401, 'unauthenticated', 'nobody is signed in');
    if (!this.token) return refusal;
    for (const _ of this.nodes.urls) {
      const node = this.nodes.current;
      const answer = await this.attempt(node, 'POST', '/v1/token', undefined, this.ids.next());
      if (!(answer instanceof ApiError)) return this.take(answer.json);
      refusal = answer;
      if (answer.status !== 0 && answer.status !== 503) break;
      this.nodes.leave(node);
    }
    return refusal;
  }

  /** By the cookie, where the page came from. @returns {Promise<ApiError | null>} */
  async fromCookie() {
    const { own } = this.nodes;
    const answer = await this.attempt(own, 'POST', '/v1/token', undefined, this.ids.next(), true);
    return answer instanceof ApiError ? answer : this.take(answer.json);
  }

  take({ token, expires }) {
    this.token = token;
    const left_ms = Date.parse(expires) - this.clock.now();
    this.expires_ms = this.clock.now() + left_ms / 2;
    return null;
  }

  end() {
    this.token = null;
    this.onEnded();
  }
}

function parse(text) {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export function pause(time_ms) {
  return new Promise((done) => setTimeout(done, time_ms));
}
