"use strict";
{
  /**
   * The one real connection, a WebSocket or what behaves like one (stream.js). htmx gets this object instead: a socket that is always
   * open. So htmx only draws, and this class handles everything that can go wrong
   * with a connection.
   *
   * Events: "message" (an HTML frame, for htmx), "state" (`state` changed),
   * "ready" (the first frame of each connection), "words" (`detail` is text that the open
   * turn's answer has gained, and how deep in it), "known" (`detail` is a turn that
   * the log has already), "source" (`detail` is a turn and its answer's Markdown),
   * "toolarge" (the server refused the last message for its size).
   */

  const { probe } = window.turnlogParts;

  const PING_EVERY = 25_000;
  const PONG_WITHIN = 10_000;
  const GREETING_WITHIN = 15_000; // from dialling to the first frame
  const RETRY_FROM = 1_000;
  const RETRY_UP_TO = 30_000;
  const SESSION_ENDED = 4401;
  const NOT_ALLOWED = 4403;
  const TOO_LARGE = 1009;

  class Connection extends EventTarget {
    // What htmx reads of a socket: it is always open, so htmx never queues or reconnects.
    OPEN = WebSocket.OPEN;
    readyState = WebSocket.OPEN;

    /**
     * connecting | connected | offline | unavailable | refused | signed-out; the last two are
     * final. unavailable: the server serves the page, and does not take its socket.
     */
    state = "connecting";

    /** Why the server refused this page, in words for its developer; "" if it does not say. */
    reason = "";

    #url;
    #after;
    #person;
    #open;
    #socket = null;
    #failures = 0;
    #turnedAway = 0;
    #retry;
    #heartbeat;
    #deadline;

    /**
     * @param {() => string} after the last version on this page, called for each connection
     * @param {string} person whose page this is: the server lets no other session continue it
     * @param {(url: URL) => WebSocket} open returns a new socket, or what behaves like one
     */
    constructor(after, person, open) {
      super();
      this.#after = after;
      this.#person = person;
      this.#open = open;
      window.addEventListener("online", () => this.#hurry());
      window.addEventListener("offline", () => this.check());
      document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
    }

    /** Take the address from htmx; return what htmx uses as a WebSocket. */
    connect(url) {
      this.#url = url;
      this.#dial();
      return this;
    }

    /** @returns {boolean} whether the text was sent; nothing is queued here */
    send(text) {
      if (this.state !== "connected") return false;
      this.#socket.send(text);
      return true;
    }

    /** Check that the connection is alive; if it is not, give it up and dial again. */
    check() {
      if (this.send('{"type":"ping"}')) this.#expect(PONG_WITHIN);
    }

    /** Called by htmx when the element that holds the connection is removed. */
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
      url.searchParams.set("refuse", "close"); // by a code, which a script can see
      if (this.#person) url.searchParams.set("person", this.#person);
      const socket = (this.#socket = this.#open(url));
      let opened = false;
      socket.onopen = () => {
        opened = true;
        if (!socket.beats) this.#heartbeat = setInterval(() => this.check(), PING_EVERY);
      };
      socket.onmessage = (event) => this.#receive(event.data);
      socket.onclose = (event) => this.#closed(event, opened);
      this.#expect(GREETING_WITHIN);
    }

    #receive(data) {
      clearTimeout(this.#deadline); // any message shows that the connection is alive
      if (this.state !== "connected") {
        // Only now has it succeeded: a server might accept and close at once.
        this.#failures = this.#turnedAway = 0;
        this.#enter("connected");
        this.dispatchEvent(new Event("ready"));
      }
      if (!data.startsWith("{")) this.dispatchEvent(new MessageEvent("message", { data }));
      else this.#hear(JSON.parse(data));
    }

    #hear({ type, turn_id: turnId, depth, content }) {
      if (type === "words") this.dispatchEvent(new CustomEvent("words", { detail: { depth, content } }));
      if (type === "known") this.dispatchEvent(new CustomEvent("known", { detail: turnId }));
      if (type === "source") this.dispatchEvent(new CustomEvent("source", { detail: { turnId, content } }));
    }

    #closed({ code, reason }, opened) {
      const greeted = this.state === "connected";
      this.#hangUp();
      if (code === NOT_ALLOWED) this.reason = reason;
      if (code === SESSION_ENDED) this.#enter("signed-out");
      else if (code === NOT_ALLOWED && greeted) this.#enter("refused");
      else if (code === NOT_ALLOWED) this.#askWhy({ refused: true });
      else if (opened) this.#lost();
      else this.#askWhy();
      if (code === TOO_LARGE) this.dispatchEvent(new Event("toolarge"));
    }

    /** Ask the page itself: a session that has ended is a refusal too, and so is a server that starts. */
    async #askWhy({ refused = false } = {}) {
      const verdict = await probe();
      if (this.#socket || this.state === "closed") return; // dialled again meanwhile
      if (verdict === "signed-out") this.#enter("signed-out");
      else if (refused) this.#enter("refused");
      else if (verdict === "offline") this.#lost();
      // After a restart, a server serves pages a moment before or after its sockets:
      // only two failures in a row count.
      else if (++this.#turnedAway < 2) this.#dialLater();
      else if (verdict === "refused") this.#enter("refused");
      else this.#lost("unavailable");
    }

    #lost(state = "offline") {
      this.#dialLater();
      this.#enter(state);
    }

    /** Dial after a pause with full jitter: after a restart, not all pages come back at once. */
    #dialLater() {
      const most = Math.min(RETRY_UP_TO, RETRY_FROM * 2 ** this.#failures++);
      this.#retry = setTimeout(() => this.#dial(), Math.random() * most);
    }

    /** The network is back, or the page is visible again: do not wait for the next timer. */
    #hurry() {
      if (this.#socket) this.check();
      else if (["offline", "unavailable"].includes(this.state)) this.#dial();
    }

    #expect(milliseconds) {
      clearTimeout(this.#deadline);
      const socket = this.#socket;
      this.#deadline = setTimeout(() => {
        if (socket !== this.#socket) return;
        this.#hangUp(); // a dead connection may take minutes to report that it is closed
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

  window.turnlogParts = { ...window.turnlogParts, Connection };
}
