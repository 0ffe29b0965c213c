// Texts from people, made fit to be shown. Nothing here makes markup: links come out as parts, and
// whatever would turn the direction of its surroundings round comes out visible.

const LINK = /\bhttps?:\/\/[^\s<>"'`\u0000-\u001f\u007f]+/gi;
const TRAILING = /[.,:;!?'")\]}>*_~]+$/;
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const TURNING = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/**
 * A text in parts: plain ones and links. Only http and https become links.
 * @param {string} text
 * @returns {{text: string, href: string | null}[]}
 */
export function parts(text) {
  const found = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    const written = trim(match[0]);
    const href = address(written);
    if (href === null) continue;
    if (match.index > end) found.push({ text: text.slice(end, match.index), href: null });
    found.push({ text: written, href });
    end = match.index + written.length;
  }
  if (end < text.length) found.push({ text: text.slice(end), href: null });
  return found;
}

/** Punctuation after a link is the sentence's, unless it closes a bracket of the link. */
function trim(written) {
  let kept = written.replace(TRAILING, '');
  for (const [open, close] of ['()', '[]']) {
    const lacks = () => kept.split(open).length > kept.split(close).length;
    while (lacks() && written[kept.length] === close) kept = written.slice(0, kept.length + 1);
  }
  return kept;
}

function address(written) {
  try {
    const url = new URL(written);
    const is_web = url.protocol === 'http:' || url.protocol === 'https:';
    return is_web && url.hostname !== '' ? url.href : null;
  } catch {
    return null;
  }
}

/**
 * A name or a topic on one line: what could not be seen is shown by its number.
 * @param {string} text
 */
export function visible(text) {
  return text.replace(HIDDEN, code);
}

/**
 * A message's text: lines and joined emoji stay, what turns the direction round is shown.
 * @param {string} text
 */
export function harmless(text) {
  return text.replace(/\r\n?/g, '\n').replace(TURNING, code);
}

function code(character) {
  const number = character.codePointAt(0) ?? 0;
  return `\u27e8U+${number.toString(16).toUpperCase().padStart(4, '0')}\u27e9`;
}

/**
 * One or two letters that stand for a name.
 * @param {string} name
 */
export function initials(name) {
  const words = name.replace(/^[@#]/, '').split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[1]].map((word) => [...word][0]) : [...(words[0] ?? '?')].slice(0, 2);
  return letters.join('').toUpperCase();
}

/** Colours for avatars, as classes of the style sheet. */
export const TINTS = 10;

/**
 * The same tint for the same name, everywhere.
 * @param {string} name
 */
export function tint(name) {
  let hash = 2166136261;
  for (const character of name.replace(/^[@#]/, '')) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16777619) >>> 0;
  }
  return ((hash ^ (hash >>> 13)) >>> 0) % TINTS;
}

/**
 * @param {Date} date
 * @param {Date} now
 */
export function dayName(date, now = new Date()) {
  const days = Math.round((midnight(now) - midnight(date)) / 86_400_000);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  /** @type {Intl.DateTimeFormatOptions} */
  const form = { weekday: 'long', day: 'numeric', month: 'long' };
  if (date.getFullYear() !== now.getFullYear()) form.year = 'numeric';
  return date.toLocaleDateString(undefined, form);
}

/** @param {Date} date */
export function clockTime(date) {
  return date.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
}

/** Without the half of the day, where there is little room. */
export function bareTime(date) {
  const form = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
  const kept = form.formatToParts(date).filter((part) => part.type !== 'dayPeriod');
  return kept.map((part) => part.value).join('').trim();
}

/** Short for a list: the time of today, else the day. */
export function shortTime(date, now = new Date()) {
  const days = Math.round((midnight(now) - midnight(date)) / 86_400_000);
  if (days <= 0) return clockTime(date);
  if (days < 7) return date.toLocaleDateString(undefined, { weekday: 'short' });
  return date.toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
}

function midnight(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

/**
 * Which losses are survived, in words.
 * @param {number[][]} sets the maximal sets of nodes whose loss at once is survived
 * @param {number[]} voters the nodes that live
 */
export function survives(sets, voters) {
  if (sets.length === 0) return 'survives no further loss';
  const sizes = new Set(sets.map((set) => set.length));
  const [size] = sizes;
  if (sizes.size === 1 && sets.length === choose(voters.length, size)) {
    return `survives the loss of any ${size === 1 ? '1 node' : `${size} nodes`}`;
  }
  const named = sets.map((set) => nodes(set)).join(', or of ');
  const safe = new Set(sets.flat());
  const fatal = voters.filter((voter) => !safe.has(voter));
  const not = fatal.length > 0 ? `; not of ${nodes(fatal, 'or')}` : '';
  return `survives the loss of ${named}${not}`;
}

/**
 * What somebody may want to do something about, or to wait for, node by node.
 * @param {any} cluster as a node tells it
 * @returns {{node: number, kind: 'learner' | 'drained' | 'damaged' | 'joiner', text: string, command: string}[]}
 */
export function remarks(cluster) {
  const found = [];
  for (const one of cluster.nodes) {
    const add = (kind, text, command = '') => found.push({ node: one.id, kind, text: `Node ${one.id} ${text}`, command });
    if (one.part === 'learner') {
      if (!one.reachable) add('learner', 'is to learn, and is not there: start it.');
      else if (one.lag === 0) add('learner', 'has caught up, and votes by itself in a moment.');
      else add('learner', `learns, ${one.lag} entries behind: it votes by itself when it has caught up.`);
    }
    if (one.draining) add('drained', 'leads no more, until it is restarted or told otherwise:', `chatctl cluster drain ${one.id} --undo`);
    if (one.faulty > 0) {
      add('damaged', `cannot read ${one.faulty} ${one.faulty === 1 ? 'entry' : 'entries'} of its log: the others give them back.`);
    }
  }
  for (const node of cluster.joiners ?? []) {
    found.push({
      node,
      kind: 'joiner',
      text: `Node ${node} waits to be admitted, by the command in its log:`,
      command: `chatctl cluster add ${node} --peer HOST:PORT --client URL`,
    });
  }
  return found;
}

function nodes(ids, word = 'and') {
  if (ids.length === 1) return `node ${ids[0]}`;
  return `nodes ${ids.slice(0, -1).join(', ')} ${word} ${ids[ids.length - 1]}`;
}

function choose(n, k) {
  let ways = 1;
  for (let i = 1; i <= k; i += 1) ways = (ways * (n - k + i)) / i;
  return ways;
}
