// HTTP to whichever node answers.
//
// A write carries one request id through all its tries, on all nodes: it takes effect at most once.
// The token is kept in memory alone. It lives ten minutes and is renewed in half that time: by the
// page's cookie where the page came from, by itself anywhere else. The page stays whose it is: a
// cookie that is someone else's by now ends it, and no answer reaches whoever came after.

const PATIENCE_MS = 20_000;
const TRY_MS = 5_000;
const PAUSE_MS = 150;
const PAUSE_MAX_MS = 2_000;
const RENEW_PAUSE_MS = 5_000;

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
    /** Whose page it is, as soon as that is known. @type {string | null} */
    this.user = null;
    /** Counts who has been here: what was asked for one is not told the next. */
    this.session = 0;
    /** From when on it is renewed, and when it ends. */
    this.renew_ms = Infinity;
    this.ends_ms = Infinity;
    /** The renewal under way. @type {Promise<void> | null} */
    this.renewing = null;
    /** Called when the session has ended. */
    this.onEnded = (/** @type {ApiError} */ _refusal) => {};
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
    const { session } = this;
    let renewed = false;
    for (let tries = 1; ; tries += 1) {
      const node = this.nodes.current;
      const answer = await this.attempt(node, method, path, body, key, how.open);
      if (!how.open && session !== this.session) throw left();
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
      const again = isPassing(error);
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
    this.renew_ms = Infinity;
    this.ends_ms = Infinity;
    await this.fromToken();
  }

  /**
   * Goes on with the session that the browser remembers.
   * @returns {Promise<boolean>} whether it remembers one; it throws if no node could say
   */
  async resume() {
    const refusal = await this.fromCookie();
    if (refusal === null) return true;
    if (refusal.status === 401 || refusal.status === 403) return false;
    throw refusal;
  }

  /** Has the token renewed well before it ends; nobody waits for that until it has ended. */
  async keepFresh() {
    if (!this.token || this.clock.now() < this.renew_ms) return;
    const renewed = this.renew().catch(() => {});
    if (this.clock.now() >= this.ends_ms) await renewed;
  }

  /** A new token: asked for once, however many want it. */
  renew() {
    if (this.renewing) return this.renewing;
    const renewing = this.renewNow().finally(() => {
      if (this.renewing === renewing) this.renewing = null;
    });
    this.renewing = renewing;
    return renewing;
  }

  async renewNow() {
    const { session } = this;
    let refusal = await this.fromToken();
    // Nodes that could not say whether the token is good have not refused it.
    if (refusal?.status === 401) refusal = await this.fromCookie();
    if (refusal === null) return;
    if (session === this.session) {
      this.renew_ms = this.clock.now() + RENEW_PAUSE_MS;
      if (refusal.status === 401) this.end(refusal);
    }
    throw refusal;
  }

  /** By the token itself, on any node. @returns {Promise<ApiError | null>} */
  async fromToken() {
    let refusal = new ApiError(401, 'unauthenticated', 'nobody is signed in');
    if (!this.token) return refusal;
    const { session } = this;
    for (const _ of this.nodes.urls) {
      const node = this.nodes.current;
      const answer = await this.attempt(node, 'POST', '/v1/token', undefined, this.ids.next());
      if (!(answer instanceof ApiError)) return this.take(answer.json, session);
      refusal = answer;
      if (answer.status !== 0 && answer.status !== 503) break;
      this.nodes.leave(node);
    }
    return refusal;
  }

  /** By the cookie, where the page came from. @returns {Promise<ApiError | null>} */
  async fromCookie() {
    const { nodes: { own }, session } = this;
    const answer = await this.attempt(own, 'POST', '/v1/token', undefined, this.ids.next(), true);
    return answer instanceof ApiError ? answer : this.take(answer.json, session);
  }

  /** @returns {ApiError | null} */
  take({ user, token, expires }, session) {
    if (session !== this.session) return left();
    // Cookies know no ports, and tabs share them: this one may be of another page's account.
    if (this.user !== null && user?.name !== this.user) {
      return new ApiError(401, 'session_ended', 'someone else has signed in in this browser');
    }
    this.token = token;
    const now_ms = this.clock.now();
    this.ends_ms = Date.parse(expires);
    this.renew_ms = now_ms + (this.ends_ms - now_ms) / 2;
    return null;
  }

  end(refusal) {
    this.forget();
    this.onEnded(refusal);
  }

  /** Nobody is here any more. */
  forget() {
    this.token = null;
    this.user = null;
    this.session += 1;
    this.renewing = null;
  }
}

/** Does it go by, so that one asks again? */
export function isPassing({ status }) {
  return [0, 429, 503, 504].includes(status);
}

function left() {
  return new ApiError(401, 'left', 'whoever asked is not here any more');
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
