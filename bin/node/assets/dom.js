// Elements, made by calls. Text goes in as text: nothing here, and nothing that uses it, reads
// markup.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `on…` is a listener; true and false are with and without
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {any}
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for pictures. @returns {any} */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else set(element, name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets an attribute if it is not so already; null, undefined and false take it away. */
export function set(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? '' : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** Sets an element's text if it is not so already. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, is_shown) {
  if (element.hidden === is_shown) element.hidden = !is_shown;
}

/**
 * Makes the children of `parent` those of `items`, keeping the element of every key.
 * @template T
 * @param {any} parent
 * @param {T[]} items
 * @param {(item: T) => string} key
 * @param {(item: T) => any} make
 * @param {(element: any, item: T, index: number) => void} update
 */
export function reconcile(parent, items, key, make, update) {
  const old = parent.held ?? new Map();
  const held = new Map();
  let place = parent.firstElementChild;
  items.forEach((item, index) => {
    const name = key(item);
    const element = old.get(name) ?? make(item);
    old.delete(name);
    held.set(name, element);
    update(element, item, index);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  });
  for (const element of old.values()) element.remove();
  parent.held = held;
}

const ICONS = {
  back: 'M15 5l-7 7 7 7',
  close: 'M6 6l12 12M18 6L6 18',
  plus: 'M12 5v14M5 12h14',
  search: 'M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14zM16.500 16.500L21 21',
  people: 'M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM2.500 20c0-3.600 2.900-6 6.500-6s6.500 2.400 6.500 6M16 4.300a3.500 3.500 0 0 1 0 6.500M18 14.400c2.200.8 3.500 2.800 3.500 5.600',
  hash: 'M9 4L7 20M17 4l-2 16M4 9h17M3 15h17',
  lock: 'M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3',
  cluster: 'M12 4.500a2 2 0 1 0 0 .1zM5.500 17a2 2 0 1 0 0 .1zM18.500 17a2 2 0 1 0 0 .1zM11 6.500l-4.500 8.700M13 6.500l4.500 8.700M7.700 17.500h8.600',
  send: 'M4 12l16-8-6 16-3-7zM11 13l9-9',
  edit: 'M4 20l1-4L16 5l3 3L8 19zM14 7l3 3',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5',
  down: 'M12 5v14M6 13l6 6 6-6',
  person: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.500 20c0-4 3.400-6.500 7.500-6.500s7.500 2.500 7.500 6.500',
  leave: 'M10 4H5v16h5M14 8l4 4-4 4M18 12H9',
  crown: 'M4 18h16l1-10-5 4-4-7-4 7-5-4z',
};

/** @param {keyof typeof ICONS} name */
export function icon(name, size = 20) {
  return s(
    'svg',
    { class: 'icon', viewBox: '0 0 24 24', width: size, height: size, 'aria-hidden': 'true', focusable: 'false' },
    s('path', { d: ICONS[name] }),
  );
}

/** A button that is a picture, with its name for those who do not see it. */
export function iconButton(name, label, attributes = {}) {
  return h('button', { type: 'button', class: 'icon-button', 'aria-label': label, title: label, ...attributes }, icon(name));
}
