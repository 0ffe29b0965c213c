// How far one has read, on its way to the nodes: the latest mark of every conversation, told again
// until a node has taken it or refused it.

import { isPassing } from './api.js';

const WAIT_MS = 250;
const AGAIN_MS = 2_000;

export class Marks {
  /**
   * @param {(label: string, upto: number) => Promise<any>} tell
   * @param {(label: string) => void} onTold
   */
  constructor(tell, onTold) {
    this.tell = tell;
    this.onTold = onTold;
    this.drop();
  }

  /** Forgets all: they are of nobody who is here. */
  drop() {
    clearTimeout(this.timer);
    this.timer = undefined;
    /** @type {Map<string, number>} */
    this.due = new Map();
  }

  add(label, upto) {
    this.put(label, upto);
    this.timer ??= setTimeout(() => this.run(), WAIT_MS);
  }

  put(label, upto) {
    this.due.set(label, Math.max(upto, this.due.get(label) ?? 0));
  }

  async run() {
    const { due } = this;
    const marks = [...due];
    due.clear();
    let wait_ms = WAIT_MS;
    for (const [label, upto] of marks) {
      const error = await this.tell(label, upto).then(() => null, (caught) => caught);
      if (due !== this.due) return;
      if (error && isPassing(error)) {
        this.put(label, upto);
        wait_ms = AGAIN_MS;
      }
      this.onTold(label);
    }
    this.timer = due.size > 0 ? setTimeout(() => this.run(), wait_ms) : undefined;
  }
}
