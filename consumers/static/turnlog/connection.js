/**
 * The one real socket. htmx sees this object in its place: a socket that is
 * always open, so that htmx only draws, and everything that can go wrong with
 * a connection is decided here.
 *
 * Events: "message" (an HTML frame, for htmx), "state" (`state` changed),
 * "ready" (the first frame of each connection), "toolarge" (what was sent last
 * was refused for its size).
 */

import { probe } from "./probe.js";

const PING_EVERY = 25_000;
const PONG_WITHIN = 10_000;
const GREETING_WITHIN = 15_000; // from dialling to the first frame
const RETRY_FROM = 1_000;
const RETRY_UP_TO = 30_000;
const SESSION_ENDED = 4401;
const TOO_LARGE = 1009;

export class Connection extends EventTarget {
  // What htmx asks of a socket: open now, so it never queues or reconnects.
  OPEN = WebSocket.OPEN;
  readyState = WebSocket.OPEN;

  /** connecting | connected | offline | refused | signed-out; the last two are final. */
  state = "connecting";

  #url;
  #after;
  #socket = null;
  #failures = 0;
  #turnedAway = 0;
  #retry;
  #heartbeat;
  #deadline;

  /** @param {() => string} after the last version this page has, asked anew for each connection */
  constructor(after) {
    super();
    this.#after = after;
    window.addEventListener("online", () => this.#hurry());
    window.addEventListener("offline", () => this.check());
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
  }

  /** htmx hands over the address; it gets back what it takes for a WebSocket. */
  connect(url) {
    this.#url = url;
    this.#dial();
    return this;
  }

  /** @returns {boolean} whether it went out; nothing is queued here */
  send(text) {
    if (this.state !== "connected") return false;
    this.#socket.send(text);
    return true;
  }

  /** Is the line still alive? If not, it is given up and dialled again. */
  check() {
    if (this.send('{"type":"ping"}')) this.#expect(PONG_WITHIN);
  }

  /** htmx calls this when the element that holds the connection is removed. */
  close() {
    this.#hangUp();
    clearTimeout(this.#retry);
    this.state = "closed";
  }

  #dial() {
    clearTimeout(this.#retry);
    const url = new URL(this.#url);
    url.searchParams.set("after", this.#after());
    url.searchParams.set("lang", document.documentElement.lang); // the page's, for its fragments
    const socket = (this.#socket = new WebSocket(url));
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.#heartbeat = setInterval(() => this.check(), PING_EVERY);
    };
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(event.code, opened);
    this.#expect(GREETING_WITHIN);
  }

  #receive(data) {
    clearTimeout(this.#deadline); // whatever came, the line is alive
    if (this.state !== "connected") {
      // Only now is it a success: a server that accepts and closes is not.
      this.#failures = this.#turnedAway = 0;
      this.#enter("connected");
      this.dispatchEvent(new Event("ready"));
    }
    if (!data.startsWith("{")) this.dispatchEvent(new MessageEvent("message", { data }));
  }

  #closed(code, opened) {
    this.#hangUp();
    if (code === SESSION_ENDED) this.#enter("signed-out");
    else if (opened) this.#lost();
    else this.#askWhy();
    if (code === TOO_LARGE) this.dispatchEvent(new Event("toolarge"));
  }

  /** A refused handshake looks like any other failure: the page itself knows more. */
  async #askWhy() {
    const verdict = await probe();
    if (this.#socket || this.state === "closed") return; // dialled again meanwhile
    // A server that restarts answers pages again a moment before or after its
    // sockets: only who is turned away twice in a row is turned away.
    if (verdict === "refused" && ++this.#turnedAway < 2) this.#dialLater();
    else if (verdict === "offline") this.#lost();
    else this.#enter(verdict);
  }

  #lost() {
    this.#dialLater();
    this.#enter("offline");
  }

  /** Full jitter: after a restart, everybody comes back, but not at once. */
  #dialLater() {
    const most = Math.min(RETRY_UP_TO, RETRY_FROM * 2 ** this.#failures++);
    this.#retry = setTimeout(() => this.#dial(), Math.random() * most);
  }

  /** Back on the network, or looked at again: do not wait for the next timer. */
  #hurry() {
    if (this.#socket) this.check();
    else if (this.state === "offline") this.#dial();
  }

  #expect(milliseconds) {
    clearTimeout(this.#deadline);
    const socket = this.#socket;
    this.#deadline = setTimeout(() => {
      if (socket !== this.#socket) return;
      this.#hangUp(); // a dead line may take minutes to say that it is closed
      this.#lost();
    }, milliseconds);
  }

  #hangUp() {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#deadline);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #enter(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
