"use strict";
{
  /**
   * The one message that the server has not confirmed yet. It is kept until its
   * turn is in the log, and sent again on each new connection until then, also
   * after a reload: because of its turn_id, a resend does no harm.
   */
  class Outbox {
    #entry = null; // { turnId, text, files, frame, tried }

    /** The message as it can be kept over a reload, or null. */
    get entry() {
      return this.#entry;
    }

    get full() {
      return this.#entry !== null;
    }

    /** The message's text; "" if the outbox is empty. */
    get text() {
      return this.#entry?.text ?? "";
    }

    /** What the message was sent with; see attachments.js. */
    get files() {
      return this.#entry?.files ?? [];
    }

    /** The message's turn_id if it may have arrived: with it, a resend cannot become a second turn. */
    get triedTurn() {
      return this.tried ? this.#entry.turnId : null;
    }

    /** Whether the message has left this page at least once: then it may have arrived. */
    get tried() {
      return this.#entry?.tried ?? false;
    }

    /**
     * @param {string} frame the message as it is sent; an answer that is asked for again has no text
     * @param {object[]} [files] what it is sent with
     */
    put(frame, files = []) {
      const { turn_id: turnId, user_text: text = "" } = JSON.parse(frame);
      this.#entry = { turnId, text, files, frame, tried: false };
    }

    /** Take the message of this page before a reload. */
    refill(entry) {
      if (entry?.turnId && entry.frame) this.#entry = entry;
    }

    /** Send the message, if there is one and the connection accepts it. */
    flush(connection) {
      if (this.#entry && connection.send(this.#entry.frame)) this.#entry.tried = true;
    }

    /** Drop the message if its turn is on the page. */
    acknowledge() {
      if (this.#entry && document.getElementById(`turn-${this.#entry.turnId}`)) this.#entry = null;
    }

    /**
     * Take the message out, to be edited.
     * @param {string} [turnId] take it only if it is this message
     * @returns {{text: string, files: object[]}} both are empty if there was nothing to take
     */
    take(turnId = this.#entry?.turnId) {
      if (!this.#entry || this.#entry.turnId !== turnId) return { text: "", files: [] };
      const { text, files } = this;
      this.#entry = null;
      return { text, files };
    }
  }

  window.turnlogParts = { ...window.turnlogParts, Outbox };
}
