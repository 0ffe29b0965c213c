// The sign of a person or a channel: initials on a colour that is theirs everywhere.

import { h, icon } from '../dom.js';
import { initials, tint } from '../text.js';

/**
 * @param {string} label `@name`, `#name` or a bare name
 * @param {{is_private?: boolean, size?: 'small' | 'large'}} [how]
 */
export function avatar(label, { is_private = false, size = 'small' } = {}) {
  const is_channel = label.startsWith('#');
  const shape = is_channel ? 'avatar channel' : `avatar tint-${tint(label)}`;
  const inner = is_channel ? icon(is_private ? 'lock' : 'hash', size === 'large' ? 22 : 18) : initials(label);
  return h('span', { class: `${shape} ${size}`, 'aria-hidden': 'true' }, inner);
}
