"use strict";
{
  /** Puts older turns above the others: the reader keeps the place, and the keyboard its focus. */
  class Earlier {
    #holder = document.getElementById("turnlog-earlier");
    #anchor = null;
    #top = 0;
    #focused = false;

    /** Call this before something is put into the log, or the button is replaced. */
    before(target) {
      if (target === this.#holder) this.#focused = target.contains(document.activeElement);
      else {
        this.#anchor = target.firstElementChild;
        this.#top = this.#anchor?.getBoundingClientRect().top;
      }
    }

    /** Call this after the whole frame is on the page. */
    after() {
      const anchor = this.#anchor;
      if (anchor?.isConnected && anchor.previousElementSibling) {
        scrollBy({ top: anchor.getBoundingClientRect().top - this.#top, behavior: "instant" });
        if (this.#focused && !this.#holder.firstElementChild) {
          anchor.tabIndex = -1;
          anchor.focus({ preventScroll: true });
        }
      }
      if (this.#focused) this.#holder.querySelector("button")?.focus({ preventScroll: true });
      this.#anchor = null;
      this.#focused = false;
    }
  }

  window.turnlogParts = { ...window.turnlogParts, Earlier };
}
