"use strict";
{
  /**
   * Keeps what a reload would lose: the words in the text box, and the message that
   * the server has not confirmed. They belong to one person in one conversation:
   * another person who signs in in this tab neither sees nor sends them.
   *
   * The storage may be forbidden or full. Then a reload loses words, and nothing else changes.
   */
  const ALL = "turnlog:";

  class Keeper {
    #key;
    #last;
    #kept = false;

    /**
     * @param {string} person whose page this is; "" if the page does not know: then nothing is kept
     * @param {string} conversation the conversation's address
     */
    constructor(person, conversation) {
      if (!person) return;
      const own = `${ALL}${person}:`;
      this.#key = own + conversation;
      attempt(() => {
        const keys = Object.keys(sessionStorage).filter((key) => key.startsWith(ALL) && !key.startsWith(own));
        for (const key of keys) sessionStorage.removeItem(key);
      });
    }

    /** @returns {object} what was kept; {} if there is nothing */
    read() {
      return (this.#key && attempt(() => JSON.parse(sessionStorage.getItem(this.#key)))) || {};
    }

    /**
     * Keep this instead of what was kept before.
     * @returns {boolean} whether it is kept
     */
    write(words) {
      const text = JSON.stringify(words);
      if (!this.#key || text === this.#last) return this.#kept;
      this.#last = text;
      attempt(() => sessionStorage.removeItem(this.#key)); // if there is no room, nothing outdated stays
      this.#kept = attempt(() => sessionStorage.setItem(this.#key, text) ?? true) === true;
      return this.#kept;
    }
  }

  /** Return what a use of the storage returns, undefined if the browser does not allow it. */
  function attempt(action) {
    try {
      return action();
    } catch {
      return undefined;
    }
  }

  window.turnlogParts = { ...window.turnlogParts, Keeper };
}
