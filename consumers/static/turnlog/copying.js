"use strict";
{
  /**
   * Copies answers, as the Markdown that they were written in, and blocks of code.
   *
   * The page has only an answer's HTML: the server is asked for its source. A browser copies only
   * soon after a click, so what is still on its way is promised to the clipboard, where it can be.
   */

  const SOURCE_WITHIN = 4_000; // browsers forget a click after five seconds
  const TOLD_FOR = 2_000;

  /**
   * Give each block of code its button: the first child, so that the code stays the last one. The
   * stylesheet writes its label, which is no part of the answer's text.
   */
  function dress(root) {
    const button = document.getElementById("turnlog-copy-code")?.content.firstElementChild;
    if (!button) return; // a project's own template, from before there was one
    for (const code of root?.querySelectorAll(".turnlog-answer pre > code:first-child") ?? []) {
      code.before(button.cloneNode(true));
    }
  }

  class Copying {
    #connection;
    #wanted = new Map(); // turn id -> what hears its source

    /** @param {Connection} connection */
    constructor(connection) {
      this.#connection = connection;
      connection.addEventListener("source", ({ detail }) => this.#wanted.get(detail.turnId)?.(detail.content));
    }

    /**
     * Copy what a button stands for.
     * @param {HTMLElement} button
     * @returns {Promise<boolean>} whether it is on the clipboard
     */
    async copy(button) {
      const done = await write(this.#wordsOf(button)).catch(() => false);
      if (done) {
        button.dataset.done = "";
        setTimeout(() => delete button.dataset.done, TOLD_FOR);
      }
      return done;
    }

    #wordsOf(button) {
      if (button.dataset.action === "copy-code") return button.parentElement.querySelector("code").textContent;
      return this.#sourceOf(button.closest(".turnlog-turn").id.slice("turn-".length));
    }

    #sourceOf(turnId) {
      return new Promise((resolve, reject) => {
        const asked = this.#connection.send(JSON.stringify({ type: "source", turn_id: turnId }));
        const late = setTimeout(() => this.#wanted.get(turnId)?.(""), asked ? SOURCE_WITHIN : 0);
        this.#wanted.set(turnId, (content) => {
          clearTimeout(late);
          this.#wanted.delete(turnId);
          if (content) resolve(content);
          else reject(new Error("there is no source"));
        });
      });
    }
  }

  /** Put words, or the promise of words, on the clipboard. */
  async function write(words) {
    // Without HTTPS, there is no clipboard to ask; with it, the person or the page's frame may forbid it.
    if (navigator.clipboard?.write && window.ClipboardItem) {
      const text = Promise.resolve(words).then((found) => new Blob([found], { type: "text/plain" }));
      text.catch(() => {}); // told below
      try {
        await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
        return true;
      } catch {
        await text; // if it has not come, nothing else helps
      }
    }
    return select(await words);
  }

  /** Copy by a selection: it works wherever a person could do it by hand. */
  function select(words) {
    const focused = document.activeElement;
    const box = document.createElement("textarea");
    box.value = words;
    box.readOnly = true;
    box.className = "turnlog-hidden";
    document.getElementById("turnlog").append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    focused?.focus({ preventScroll: true });
    return done;
  }

  window.turnlogParts = { ...window.turnlogParts, Copying, dress };
}
