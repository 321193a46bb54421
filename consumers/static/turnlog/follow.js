"use strict";
{
  /**
   * Keeps the page at the end of a growing answer, but only if the reader is at
   * the end. A reader who scrolls up is left alone and shown a way back.
   */
  class Follow {
    #page = document.scrollingElement;
    #newest = document.getElementById("turnlog-newest");
    #following = true;
    #rest = 0; // the last position: only the reader moves above it

    constructor(content) {
      history.scrollRestoration = "manual"; // a conversation opens at its end
      // A resize is observed once a frame, after layout and before paint: so there is
      // one scroll a frame, whatever made the page grow.
      new ResizeObserver(() => this.#following && this.#toEnd()).observe(content);
      const sentinel = document.createElement("div");
      sentinel.className = "turnlog-end";
      content.append(sentinel);
      new IntersectionObserver(([entry]) => this.#seen(entry.isIntersecting)).observe(sentinel);
      window.addEventListener("resize", () => this.#following && this.#toEnd()); // a phone's keyboard
      window.addEventListener("scroll", () => this.#scrolled(), { passive: true });
      content.addEventListener("click", (event) => this.#clicked(event));
      this.#newest.addEventListener("click", () => this.jump());
    }

    jump() {
      this.#following = true;
      this.#toEnd();
    }

    /** Stay at the end after a change that may have made the page shorter: that is no reader's move. */
    stay() {
      if (this.#following) this.#toEnd();
    }

    #toEnd() {
      this.#page.scrollTo({ top: this.#page.scrollHeight, behavior: "instant" });
      this.#rest = this.#page.scrollTop;
    }

    get #away() {
      return this.#page.scrollHeight - this.#page.clientHeight - this.#page.scrollTop > 2;
    }

    #seen(atEnd) {
      if (atEnd) this.#following = true;
      this.#newest.hidden = atEnd || this.#following;
    }

    #scrolled() {
      const top = this.#page.scrollTop;
      // A page that became shorter moves up as well, but then it is at its end.
      if (top < this.#rest && this.#away) this.#following = false;
      this.#rest = top;
    }

    /** A reader who opens a card wants to see it there, not to be moved to the end. */
    #clicked(event) {
      if (!event.target.closest("summary")) return;
      this.#following = false;
      requestAnimationFrame(() => requestAnimationFrame(() => (this.#following = !this.#away)));
    }
  }

  window.turnlogParts = { ...window.turnlogParts, Follow };
}
