// Where in the page one is: the part of the address after `#`. It comes from outside, so anything
// may stand there.

const VIEWS = new Map([['cluster', 'cluster'], ['account', 'account'], ['channels', 'channels']]);
const SIGNS = new Map([['c', '#'], ['d', '@']]);

/** @typedef {{view: 'list' | 'conversation' | 'cluster' | 'account' | 'channels', label: string | null}} Route */

/**
 * @param {string} hash
 * @returns {Route}
 */
export function routeOf(hash) {
  const [, kind = '', name = ''] = hash.split('/').map(plain);
  const sign = SIGNS.get(kind);
  // Names are lower case, however someone has written them.
  if (sign && name !== '') return { view: 'conversation', label: sign + name.toLowerCase() };
  return /** @type {Route} */ ({ view: VIEWS.get(kind) ?? 'list', label: null });
}

/** Where a conversation is in the page. @param {string} label */
export function path(label) {
  return `#/${label.startsWith('#') ? 'c' : 'd'}/${encodeURIComponent(label.slice(1))}`;
}

function plain(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}
