// The cluster's nodes as this page reaches them, and the one in use. There is always one in use;
// whoever finds it dead moves everyone to the next.

export class Nodes {
  /**
   * @param {string} own the origin of this page
   * @param {string[]} urls the cluster's client URLs
   */
  constructor(own, urls) {
    this.own = own;
    /** @type {string[]} */
    this.urls = [own];
    this.current = own;
    this.learn(urls);
  }

  /**
   * Takes up the cluster's addresses; the node that the page came from is asked under the page's own
   * origin.
   * @param {string[]} urls
   */
  learn(urls) {
    const known = urls.map((url) => this.reach(url)).filter((url) => url !== null);
    this.urls = [...new Set([this.own, ...known])];
    if (!this.urls.includes(this.current)) this.current = this.own;
  }

  /**
   * How this page reaches the node of a client URL.
   * @param {string} url
   * @returns {string | null}
   */
  reach(url) {
    try {
      const { origin, protocol, port, hostname } = new URL(url);
      const own = new URL(this.own);
      const is_here = isLoopback(hostname) && isLoopback(own.hostname);
      return is_here && protocol === own.protocol && port === own.port ? this.own : origin;
    } catch {
      return null;
    }
  }

  /**
   * The one in use has failed: go on to the next, unless someone has already.
   * @param {string} failed
   */
  leave(failed) {
    if (this.current === failed) this.current = this.after(failed);
    return this.current;
  }

  /** @param {string} url */
  after(url) {
    return this.urls[(this.urls.indexOf(url) + 1) % this.urls.length];
  }
}

function isLoopback(host) {
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
