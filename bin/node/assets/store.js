// What the page knows: conversations, their messages by place, and what is still to be sent. It is
// pure: frames and answers go in, state comes out; no network, no clock, no document.
//
// What always holds:
// - The messages held of a conversation are one piece without a gap, in the order of `seq`.
// - A message is shown once: what comes twice, or as one's own and as an answer, is one.
// - What is to be sent keeps its request id through every try, and its place behind what was written
//   before it to the same conversation.

/** A refused message is offered again by hand after so many tries that left its fate open. */
const TRIES_MAX = 3;
/** Messages on their way at once. */
const IN_FLIGHT_MAX = 32;

/**
 * @typedef {object} Message
 * @property {string} id
 * @property {string} conversation
 * @property {number} seq
 * @property {string} [author]
 * @property {string} [time]
 * @property {string | null} text
 * @property {boolean} [edited]
 * @property {boolean} [deleted]
 * @property {string} [request_id] of messages sent from this page
 *
 * @typedef {object} Conversation
 * @property {string} label
 * @property {number} unread
 * @property {number} read_upto
 * @property {Message | null} last
 * @property {number} last_seq
 * @property {string} activity the index that it is ordered by
 * @property {number} place where it stood in the list that a node gave
 * @property {boolean} is_member
 * @property {boolean} is_loaded
 * @property {boolean} is_stale something of it was missed: to be loaded again
 * @property {boolean} more_before
 * @property {boolean} more_after
 * @property {Message[]} messages
 *
 * @typedef {object} Outgoing
 * @property {string} request_id
 * @property {string} to
 * @property {string} text
 * @property {string | undefined} after the request that it must follow
 * @property {'pending' | 'failed'} state
 * @property {boolean} is_in_flight
 * @property {boolean} was_out it has gone out: a node may have taken it
 * @property {number} above the last place known when it was written: it comes after that
 * @property {boolean} is_refused it is known that nothing was done
 * @property {number} tries
 * @property {number} time_ms
 * @property {{code: string, message: string} | null} error
 */

export class Store {
  constructor() {
    /** @type {{name: string, role: string} | null} */
    this.me = null;
    /** @type {Map<string, Conversation>} */
    this.conversations = new Map();
    /** @type {Outgoing[]} */
    this.outbox = [];
    /** Everything at or below this log index has been taken in. @type {string | null} */
    this.cursor = null;
    /** The list is to be loaded again. */
    this.is_dirty = false;
  }

  /** For another log, which stands here now: all that is kept is what is still to be sent. */
  afresh() {
    const store = new Store();
    store.me = this.me;
    store.outbox = this.outbox.map((it) => ({ ...it, is_in_flight: false, above: 0 }));
    return store;
  }

  // ---- conversations -------------------------------------------------------------------------

  /** @param {string} label */
  conversation(label) {
    let found = this.conversations.get(label);
    if (!found) {
      found = {
        label,
        unread: 0,
        read_upto: 0,
        last: null,
        last_seq: 0,
        activity: '0',
        place: 0,
        is_member: false,
        is_loaded: false,
        is_stale: false,
        more_before: false,
        more_after: false,
        messages: [],
      };
      this.conversations.set(label, found);
    }
    return found;
  }

  /** The conversations that one is in, latest first. @returns {Conversation[]} */
  list() {
    const mine = [...this.conversations.values()].filter((one) => one.is_member);
    return mine.sort((one, other) => compareIds(other.activity, one.activity) || one.place - other.place);
  }

  /**
   * The whole list, as a node gave it.
   * @param {any[]} items
   */
  setConversations(items) {
    this.is_dirty = false;
    const listed = new Set(items.map((item) => item.conversation));
    for (const one of this.conversations.values()) {
      if (!listed.has(one.label)) one.is_member = false;
    }
    let above = null;
    for (const item of [...items].reverse()) {
      const one = this.conversation(item.conversation);
      const last_seq = item.last?.seq ?? 0;
      one.is_member = true;
      one.place = items.indexOf(item);
      one.read_upto = Math.max(one.read_upto, item.read_upto);
      if (last_seq < one.last_seq) {
        // The answer is older than what has come in since.
        this.is_dirty = true;
      } else {
        one.last = item.last;
        // A mark that is on its way counts already.
        one.unread = one.read_upto > item.read_upto && one.read_upto >= last_seq ? 0 : item.unread;
        if (last_seq > one.last_seq && one.is_loaded && !one.more_after) one.is_stale = true;
        one.last_seq = last_seq;
      }
      // A channel without a message keeps the place that the node gave it.
      const activity = item.last?.id ?? above ?? '0';
      if (compareIds(activity, one.activity) > 0) one.activity = activity;
      above = one.activity;
    }
  }

  /** @param {Conversation} one */
  countUnread(one, otherwise) {
    if (one.read_upto >= one.last_seq) return 0;
    const first = one.messages[0]?.seq ?? Infinity;
    if (!one.is_loaded || one.more_after || first > one.read_upto + 1) {
      this.is_dirty = true;
      return otherwise;
    }
    return one.messages.filter((it) => it.seq > one.read_upto && !it.deleted && it.author !== this.me?.name).length;
  }

  /**
   * A piece of history, as a node gave it. One that does not join what is held, because that was
   * loaded afresh meanwhile, is dropped: whoever still looks there asks again.
   * @param {string} label
   * @param {{items: Message[], more_before: boolean, more_after: boolean}} page
   * @param {'fresh' | 'before' | 'after'} how
   */
  history(label, page, how) {
    const one = this.conversation(label);
    if (!joins(one, page.items, how)) return;
    for (const item of page.items) this.adopt(item);
    if (how === 'fresh' || one.messages.length === 0) {
      one.messages = page.items.slice();
      one.more_before = page.more_before;
      one.more_after = page.more_after;
      one.is_loaded = true;
      one.is_stale = false;
    } else if (how === 'before') {
      const first = one.messages[0].seq;
      one.messages = [...page.items.filter((it) => it.seq < first), ...one.messages];
      one.more_before = page.more_before;
    } else {
      const last = one.messages[one.messages.length - 1].seq;
      one.messages = [...one.messages, ...page.items.filter((it) => it.seq > last)];
      one.more_after = page.more_after;
      one.is_stale = false;
    }
    const newest = one.messages[one.messages.length - 1];
    if (newest && !one.more_after && newest.seq >= one.last_seq) this.isLast(one, newest);
    // Read before the last one came in, when it may have been empty.
    if (!one.more_after && (newest?.seq ?? 0) < one.last_seq) one.is_stale = true;
  }

  isLast(one, message) {
    one.last = message;
    one.last_seq = message.seq;
    if (compareIds(message.id, one.activity) > 0) one.activity = message.id;
  }

  // ---- frames --------------------------------------------------------------------------------

  /**
   * Takes in what a node said. A frame that was taken in before changes nothing.
   * @param {any} frame
   */
  receive(frame) {
    switch (frame.type) {
      case 'ready':
        this.cursor ??= frame.cursor;
        return;
      case 'sent':
        this.sent(frame.request_id, frame.message);
        return;
      case 'failed':
        this.failed(frame.request_id, frame.error, frame.retry);
        return;
      default:
    }
    if (frame.cursor === undefined) return;
    if (this.cursor !== null && compareIds(frame.cursor, this.cursor) < 0) return;
    this.cursor = frame.cursor;
    switch (frame.type) {
      case 'message':
        this.message(frame.message);
        break;
      case 'edited':
      case 'deleted':
        this.changed(frame.message);
        break;
      case 'read':
        this.read(frame.conversation, frame.upto);
        break;
      case 'member':
        this.member(frame);
        break;
      case 'account':
        this.account(frame);
        break;
      case 'channel':
        break;
      case 'resync':
        this.missed();
        break;
      default:
    }
  }

  /** @param {Message} message */
  message(message) {
    const one = this.conversation(message.conversation);
    if (!one.is_member) {
      one.is_member = true;
      this.is_dirty = true;
    }
    this.adopt(message);
    // One's own may come before another's that it follows: how many are unread, a node will say.
    if (message.seq > one.last_seq + 1) this.is_dirty = true;
    if (message.seq > one.last_seq) {
      if (message.author !== this.me?.name && !message.deleted) one.unread += 1;
      this.isLast(one, message);
    }
    if (!one.is_loaded || one.more_after) return;
    const newest = one.messages[one.messages.length - 1]?.seq ?? 0;
    if (message.seq === newest + 1) one.messages.push(message);
    else if (message.seq > newest) one.is_stale = true;
    else this.replace(one, message);
  }

  /** One's own message is the one on its way, if they say the same: it is shown once. */
  adopt(message) {
    if (message.author !== this.me?.name || message.request_id) return;
    const known = this.find(message.conversation, message.seq);
    if (known) {
      if (known.request_id) message.request_id = known.request_id;
      return;
    }
    const taken = new Set(this.conversation(message.conversation).messages.map((it) => it.request_id));
    const alike = this.outbox.filter(
      (it) => it.to === message.conversation && it.text === message.text && it.above < message.seq && !taken.has(it.request_id),
    );
    // What no node could say the fate of may well be this one.
    const mine = alike.find((it) => it.is_in_flight) ?? alike.find((it) => it.was_out && !it.is_refused);
    if (!mine) return;
    message.request_id = mine.request_id;
    if (mine.state === 'failed') this.discard(mine.request_id);
  }

  find(label, seq) {
    const messages = this.conversations.get(label)?.messages ?? [];
    const at = messages.length === 0 ? -1 : seq - messages[0].seq;
    return at >= 0 && at < messages.length ? messages[at] : undefined;
  }

  /** A message has another text, or none. */
  changed(message) {
    const one = this.conversations.get(message.conversation);
    if (!one) return;
    if (one.last?.seq === message.seq) one.last = message;
    if (message.deleted && message.seq > one.read_upto) this.is_dirty = true;
    this.replace(one, message);
  }

  replace(one, message) {
    const first = one.messages[0]?.seq;
    if (first === undefined || message.seq < first) return;
    const at = message.seq - first;
    if (at >= one.messages.length) return;
    const { request_id } = one.messages[at];
    one.messages[at] = request_id && !message.request_id ? { ...message, request_id } : message;
  }

  read(label, upto) {
    const one = this.conversations.get(label);
    if (!one || upto <= one.read_upto) return;
    one.read_upto = upto;
    one.unread = this.countUnread(one, one.unread);
  }

  member({ conversation, user, change }) {
    if (user !== this.me?.name) return;
    const one = this.conversation(conversation);
    one.is_member = change === 'joined';
    if (change === 'joined') {
      this.is_dirty = true;
      if (this.cursor && compareIds(this.cursor, one.activity) > 0) one.activity = this.cursor;
    }
  }

  account({ user, erased }) {
    const rewrite = (it) => {
      if (it?.author !== user) return it;
      if (!erased) return { ...it, author: 'deleted user' };
      return { id: it.id, conversation: it.conversation, seq: it.seq, deleted: true, text: null };
    };
    for (const one of this.conversations.values()) {
      one.messages = one.messages.map(rewrite);
      one.last = rewrite(one.last);
    }
    this.is_dirty = true;
  }

  /** Something may have been missed: everything held is to be loaded again. */
  missed() {
    this.is_dirty = true;
    for (const one of this.conversations.values()) {
      if (one.is_loaded) one.is_stale = true;
    }
  }

  // ---- what is to be sent --------------------------------------------------------------------

  /**
   * @param {string} to
   * @param {string} text
   * @param {string} request_id
   * @param {number} time_ms
   */
  enqueue(to, text, request_id, time_ms) {
    const before = this.outbox.filter((it) => it.to === to && it.state === 'pending');
    const item = {
      request_id,
      to,
      text,
      after: before[before.length - 1]?.request_id,
      state: /** @type {'pending'} */ ('pending'),
      is_in_flight: false,
      was_out: false,
      above: this.conversations.get(to)?.last_seq ?? 0,
      is_refused: false,
      tries: 0,
      time_ms,
      error: null,
    };
    this.outbox.push(item);
    return item;
  }

  /**
   * What goes out now, in order: nothing overtakes what must come before it.
   * @returns {Outgoing[]}
   */
  take() {
    let room = IN_FLIGHT_MAX - this.outbox.filter((it) => it.is_in_flight).length;
    const ready = [];
    for (const item of this.outbox) {
      if (room <= 0) break;
      if (item.state !== 'pending' || item.is_in_flight) continue;
      const before = this.outgoing(item.after);
      if (before && before.state === 'pending' && !before.is_in_flight) continue;
      item.is_in_flight = true;
      item.was_out = true;
      room -= 1;
      ready.push(item);
    }
    return ready;
  }

  /** The connection is gone: what was on its way goes out again on the next. */
  disconnected() {
    for (const item of this.outbox) item.is_in_flight = false;
  }

  outgoing(request_id) {
    return this.outbox.find((it) => it.request_id === request_id);
  }

  sent(request_id, message) {
    this.outbox = this.outbox.filter((it) => it.request_id !== request_id);
    const one = this.conversation(message.conversation);
    // What was taken for it, and was another of the same words, stands for itself.
    for (const it of one.messages) {
      if (it.request_id === request_id && it.seq !== message.seq) delete it.request_id;
    }
    const known = this.find(message.conversation, message.seq);
    if (known) known.request_id = request_id;
    else this.message({ ...message, request_id });
  }

  failed(request_id, error, may_retry) {
    const item = this.outgoing(request_id);
    if (!item) return;
    item.is_in_flight = false;
    item.error = error;
    if (error.code === 'out_of_order') {
      // What it must follow will come again, or never: then it follows nothing.
      const before = this.outgoing(item.after);
      if (!before || before.state === 'failed') item.after = undefined;
      return;
    }
    item.tries += 1;
    if (!may_retry || item.tries >= TRIES_MAX) item.state = 'failed';
    item.is_refused = !may_retry && !error.code.startsWith('request_id');
  }

  /**
   * By hand, once more. It keeps its request id, so that it is sent once whatever became of the
   * tries before; only what a node has refused for good gets a new one, for that refusal is kept.
   */
  retry(request_id, fresh_id) {
    const item = this.outgoing(request_id);
    if (!item || item.state !== 'failed') return;
    if (item.is_refused) {
      item.request_id = fresh_id;
      item.after = undefined;
      item.was_out = false;
    }
    Object.assign(item, { state: 'pending', is_refused: false, tries: 0, error: null });
  }

  discard(request_id) {
    this.outbox = this.outbox.filter((it) => it.request_id !== request_id);
  }

  /** What is not yet sent to a conversation, and not shown as sent already. */
  unsent(label) {
    const shown = new Set(this.conversations.get(label)?.messages.map((it) => it.request_id));
    return this.outbox.filter((it) => it.to === label && !shown.has(it.request_id));
  }
}

/** Does a page go on, without a gap, where what is held of the conversation ends? */
function joins({ messages }, items, how) {
  if (how === 'fresh' || messages.length === 0 || items.length === 0) return true;
  const [first, last] = [messages[0].seq, messages[messages.length - 1].seq];
  const next = how === 'before' ? first - 1 : last + 1;
  return items.some((it) => it.seq === next);
}

/**
 * Orders log indexes, which are decimal text.
 * @param {string} one
 * @param {string} other
 */
export function compareIds(one, other) {
  if (one.length !== other.length) return one.length < other.length ? -1 : 1;
  return one < other ? -1 : one > other ? 1 : 0;
}
