"use strict";
{
  /**
   * Keeps what a reload would lose: the words in the text box, and the message that
   * the server has not confirmed. They belong to one person in one conversation:
   * another person who signs in in this tab neither sees nor sends them. No script of
   * ours runs when somebody signs out. So the next page of a chat removes what is not
   * this person's, and what has waited for too long.
   *
   * The storage may be forbidden or full. Then a reload loses words, and nothing else changes.
   */
  const ALL = "turnlog:";
  const KEEP_FOR = 12 * 60 * 60 * 1000;

  class Keeper {
    #key;
    #last;
    #kept = false;

    /**
     * @param {string} person whose page this is; "" if the page does not know: then nothing is kept
     * @param {string} conversation the conversation's address
     */
    constructor(person, conversation) {
      const own = person && `${ALL}${person}:`;
      if (person) this.#key = own + conversation;
      for (const key of attempt(() => Object.keys(sessionStorage)) ?? []) {
        if (!key.startsWith(ALL)) continue;
        const fresh = person && key.startsWith(own) && Date.now() - (stored(key).at ?? 0) < KEEP_FOR;
        if (!fresh) attempt(() => sessionStorage.removeItem(key));
      }
    }

    /** @returns {object} what was kept; {} if there is nothing */
    read() {
      return (this.#key && stored(this.#key).words) || {};
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
      const entry = JSON.stringify({ at: Date.now(), words });
      this.#kept = attempt(() => sessionStorage.setItem(this.#key, entry) ?? true) === true;
      return this.#kept;
    }
  }

  /** @returns {{at?: number, words?: object}} what is stored under a key, {} if it is none of ours */
  function stored(key) {
    return attempt(() => JSON.parse(sessionStorage.getItem(key))) || {};
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
