/**
 * The one message that the server has not shown back yet. It is kept until its
 * turn stands in the log, and sent again on each new connection until then: its
 * turn_id makes that harmless.
 */
export class Outbox {
  #entry = null; // { turnId, text, frame, tried }

  get full() {
    return this.#entry !== null;
  }

  /** The words in it, "" when empty. */
  get text() {
    return this.#entry?.text ?? "";
  }

  /** Whether it has left this page at least once: then it may have arrived. */
  get tried() {
    return this.#entry?.tried ?? false;
  }

  /** @param {string} frame as it goes over the wire */
  put(frame) {
    const { turn_id: turnId, user_text: text } = JSON.parse(frame);
    this.#entry = { turnId, text, frame, tried: false };
  }

  /** Send what is in it, if there is anything and the connection takes it. */
  flush(connection) {
    if (this.#entry && connection.send(this.#entry.frame)) this.#entry.tried = true;
  }

  /** Forget it once its turn is on the page. */
  acknowledge() {
    if (this.#entry && document.getElementById(`turn-${this.#entry.turnId}`)) this.#entry = null;
  }

  /**
   * Take the words back, to be edited.
   * @param {string} [turnId] only if it is this message
   * @returns {string} "" when there was nothing to take
   */
  take(turnId = this.#entry?.turnId) {
    if (!this.#entry || this.#entry.turnId !== turnId) return "";
    const { text } = this.#entry;
    this.#entry = null;
    return text;
  }
}
