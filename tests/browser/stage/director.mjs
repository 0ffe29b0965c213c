// The other end of the test: where the nodes are, and the one who kills and starts them.

import { createInterface } from "node:readline";

export class Director {
  #lines;

  /** Read the first line: the stage as the test has set it. */
  static async take() {
    const director = new Director();
    const reader = createInterface({ input: process.stdin });
    director.reader = reader;
    director.#lines = reader[Symbol.asyncIterator]();
    Object.assign(director, JSON.parse((await director.#lines.next()).value));
    return director;
  }

  /** Ask for something, and wait until it is done. */
  async ask(what) {
    process.stdout.write(`${JSON.stringify(what)}\n`);
    const { value, done } = await this.#lines.next();
    if (done || !JSON.parse(value).ok) throw new Error(`the test refused ${JSON.stringify(what)}`);
  }

  kill(node) {
    return this.ask({ do: "kill", node });
  }

  start(node) {
    return this.ask({ do: "start", node });
  }

  /** Start it without waiting: alone it may not get ready. */
  spawn(node) {
    return this.ask({ do: "spawn", node });
  }

  url(node) {
    return this.nodes.find(({ id }) => id === node).url;
  }

  leave() {
    this.reader.close();
  }
}
