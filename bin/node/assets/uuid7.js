// Request ids, timed by the nodes' clock.
//
// A node refuses an id whose time lies too far from its own, so the time in an id is what the nodes
// last said, carried on by a clock that no one sets. Ids made here ascend.

/** The nodes' clock, as last heard. */
export class Clock {
  /** @param {() => number} ticks milliseconds that only ever grow, at an even rate */
  constructor(ticks = () => performance.now()) {
    this.ticks = ticks;
    this.offset_ms = Date.now() - ticks();
  }

  /**
   * Takes up what an answer said of the time.
   * @param {string | null} text the header `Holdfast-Time`
   */
  hear(text) {
    const time_ms = text ? Date.parse(text) : NaN;
    if (Number.isFinite(time_ms)) this.offset_ms = time_ms - this.ticks();
  }

  /** @returns {number} milliseconds since 1970 */
  now() {
    return Math.floor(this.ticks() + this.offset_ms);
  }
}

/** Makes UUIDs of version 7, each greater than the one before. */
export class Ids {
  /**
   * @param {Clock} clock
   * @param {(bytes: Uint8Array) => Uint8Array} fill
   */
  constructor(clock, fill = (bytes) => crypto.getRandomValues(bytes)) {
    this.clock = clock;
    this.fill = fill;
    this.last_ms = 0;
    this.count = 0;
  }

  /** @returns {string} */
  next() {
    const now_ms = this.clock.now();
    // The twelve bits after the time count within a millisecond. A clock that was put back a little
    // does not turn the order round; one that was far ahead is not followed.
    if (now_ms > this.last_ms || this.last_ms - now_ms > 2000) {
      this.last_ms = now_ms;
      this.count = 0;
    } else if (++this.count > 0xfff) {
      this.last_ms += 1;
      this.count = 0;
    }
    return format(this.last_ms, this.count, this.fill(new Uint8Array(8)));
  }
}

/**
 * @param {number} time_ms
 * @param {number} count
 * @param {Uint8Array} random
 */
function format(time_ms, count, random) {
  const time = time_ms.toString(16).padStart(12, '0');
  const counted = count.toString(16).padStart(3, '0');
  const bytes = [...random];
  bytes[0] = (bytes[0] & 0x3f) | 0x80;
  const rest = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${counted}-${rest.slice(0, 4)}-${rest.slice(4)}`;
}
