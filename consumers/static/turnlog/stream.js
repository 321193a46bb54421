"use strict";
{
  /**
   * A connection over HTTP that behaves like a WebSocket: what arrives comes by a stream of
   * server-sent events, and what is sent is a POST each.
   *
   * A browser would reconnect a lost stream itself. It must not here: connection.js does that for
   * both, with its pauses and the page's own place.
   */

  const { refreshToken } = window.turnlogParts;

  const ALIVE_WITHIN = 50_000; // the server says every 20 seconds that the stream is alive
  const LOST = 1006;
  const TOO_LARGE = 1009;
  const CODES = { "signed-out": 4401, refused: 4403, later: 1013 };

  class StreamSocket {
    onopen = null;
    onmessage = null;
    onclose = null;
    beats = true; // it notices itself that it is dead: nobody needs to ping

    #url;
    #page;
    #source;
    #deadline;
    #pinging = false;

    /**
     * @param {URL} url the chat's address, as htmx makes one for a socket
     * @param {DOMStringMap} page where the page's CSRF token is
     */
    constructor(url, page) {
      url.protocol = url.protocol === "wss:" ? "https:" : "http:";
      this.#url = url;
      this.#page = page;
      const stream = new URL(url);
      stream.searchParams.set("refuse", "event"); // a script sees neither status nor body of a refusal
      const source = (this.#source = new EventSource(stream));
      source.onopen = () => this.#heard(this.onopen);
      source.onmessage = ({ data }) => this.#heard(this.onmessage, { data });
      source.onerror = () => this.#end(LOST);
      source.addEventListener("alive", () => this.#heard());
      source.addEventListener("end", ({ data }) => this.#told(JSON.parse(data)));
    }

    /** @param {string} text a request, as it is sent over a socket */
    send(text) {
      const ping = JSON.parse(text).type === "ping";
      if (ping && this.#pinging) return;
      this.#pinging ||= ping;
      this.#post(text)
        .catch(() => this.#end(LOST))
        .finally(() => ping && (this.#pinging = false));
    }

    close() {
      clearTimeout(this.#deadline);
      this.#source.close();
    }

    async #post(text, again = true) {
      const answer = await fetch(this.#url, {
        method: "POST",
        body: text,
        headers: { "Content-Type": "application/json", Accept: "text/html", "X-CSRFToken": this.#page.csrf },
        redirect: "manual",
        cache: "no-store",
      });
      const kind = answer.headers.get("Content-Type") ?? "";
      if (kind.startsWith("application/json")) this.#told(await answer.json());
      else if (answer.headers.has("X-Turnlog-Frames")) this.onmessage?.({ data: await answer.text() });
      else if (answer.type === "opaqueredirect") this.#end(CODES["signed-out"]);
      else if (answer.status === 413) this.#end(TOO_LARGE);
      // Whoever signs in again, in another tab, has another token.
      else if (answer.status === 403 && again && (await refreshToken(this.#page))) await this.#post(text, false);
      else this.#end(LOST);
    }

    #told(told) {
      if (told.type === "end") this.#end(CODES[told.reason] ?? LOST, told.detail);
      else this.onmessage?.({ data: JSON.stringify(told) });
    }

    #heard(listener, event) {
      clearTimeout(this.#deadline);
      this.#deadline = setTimeout(() => this.#end(LOST), ALIVE_WITHIN);
      listener?.(event);
    }

    #end(code, reason = "") {
      this.close();
      this.onclose?.({ code, reason });
    }
  }

  window.turnlogParts = { ...window.turnlogParts, StreamSocket };
}
