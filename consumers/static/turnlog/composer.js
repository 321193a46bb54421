"use strict";
{
  /** The text box: when its text may be sent, by which key, and how it is counted. */

  const { uuid4 } = window.turnlogParts;

  const coarse = matchMedia("(pointer: coarse)");
  const numbers = new Intl.NumberFormat(document.documentElement.lang || undefined);
  const COUNT_FROM = 0.9; // of the limit: below that, the counter is noise

  class Composer {
    form = document.getElementById("turnlog-composer");
    #box = document.getElementById("turnlog-text");
    #turnId = document.getElementById("turnlog-turn-id");
    #send = document.getElementById("turnlog-send");
    #stop = document.getElementById("turnlog-stop");
    #hint = document.getElementById("turnlog-hint");
    #attachments;
    #counter = document.getElementById("turnlog-counter");
    #running = false;
    #blocked = true;
    #editing = null; // { turnId, draft }: the turn whose message is changed, and what was in the box
    #bar = document.getElementById("turnlog-editing");
    #returned = null; // { text, ids, turnId }: what could not be sent, at the beginning of the box

    /**
     * @param {() => void} onStop
     * @param {Attachments} attachments what is sent with the text
     */
    constructor(onStop, attachments) {
      this.#attachments = attachments;
      this.#box.addEventListener("input", () => this.refresh());
      this.#box.addEventListener("keydown", (event) => this.#key(event));
      this.#stop.addEventListener("click", onStop);
      // The form is sent by htmx (ws-send), which asks here first.
      this.form.addEventListener("htmx:wsConfigSend", (event) => this.#prepare(event));
    }

    /**
     * @param {object} [now]
     * @param {boolean} now.running a turn is running: Stop takes the place of Send
     * @param {boolean} now.blocked nothing can be sent (a message is under way, or we were refused)
     * @param {boolean} now.online Stop is of use
     */
    refresh({ running = this.#running, blocked = this.#blocked, online = !this.#stop.disabled } = {}) {
      this.#running = running;
      this.#blocked = blocked;
      const text = this.#box.value;
      const written = text.trim() !== "" || this.#attachments.ids.length > 0;
      this.#attachments.refresh();
      this.#count(text);
      this.#hint.hidden = !(running && written);
      this.#stop.disabled = !online;
      this.#send.disabled = !this.#sendable;
      this.#bar.hidden = this.#editing === null;
      if (this.#stop.hidden === running) this.#swap(running);
      if (!CSS.supports("field-sizing", "content")) this.#grow();
    }

    /**
     * Put what was not sent back into the box, before anything written since.
     * @param {{text: string, files: object[]}} words
     * @param {?string} [turnId] it may have arrived in this turn: unchanged, it is sent as that turn again
     */
    restore({ text, files }, turnId = null) {
      if (!text && !files.length) return;
      this.#box.value = text && this.#box.value.trim() ? `${text}\n\n${this.#box.value}` : text || this.#box.value;
      this.#attachments.restore(files);
      this.#returned = { text, ids: files.map(({ id }) => id), turnId };
      this.refresh();
      this.focus();
    }

    /** Put a message into the box: sent, it replaces its turn. */
    edit({ text, files }, turnId) {
      const draft = this.#editing?.draft ?? { text: this.#box.value, files: this.#attachments.items };
      this.#editing = { turnId, draft };
      this.#box.value = text;
      this.#attachments.clear();
      this.#attachments.restore(files);
      this.#returned = null;
      this.refresh();
      this.#box.focus();
    }

    /** Leave the message as it is; what was in the box comes back. */
    keepMessage() {
      if (this.#editing) this.clear();
    }

    /** Empty the box: its text is being sent. After a change of a message, the draft comes back. */
    clear() {
      const { text, files } = this.#editing?.draft ?? { text: "", files: [] };
      this.#box.value = text;
      this.#attachments.clear();
      this.#attachments.restore(files);
      this.#editing = null;
      this.#turnId.value = "";
      this.#returned = null;
      this.refresh();
      this.focus();
    }

    /** @returns {boolean} whether words that came back have been changed since this was last asked */
    changed() {
      if (!this.#returned || this.#box.value.startsWith(this.#returned.text)) return false;
      this.#returned = null;
      return true;
    }

    /**
     * Empty the box if its words turn out to have arrived: their turn is on the page.
     * @returns {boolean} whether they have, and nobody has changed them
     */
    settle() {
      const { turnId } = this.#returned ?? {};
      if (!turnId || !this.#unchanged || !document.getElementById(`turn-${turnId}`)) return false;
      this.clear();
      return true;
    }

    /** What can be kept over a reload. */
    get draft() {
      return { text: this.#box.value, files: this.#attachments.items, returned: this.#returned, editing: this.#editing };
    }

    /** Show the draft of this page before a reload, before any text written since. */
    set draft({ text, files = [], returned, editing = null }) {
      // The browser may have restored it, too.
      this.restore({ text: text === this.#box.value ? "" : text, files });
      this.#returned = returned;
      this.#editing = editing;
      this.refresh();
    }

    get #sendable() {
      const text = this.#box.value;
      const some = text.trim() !== "" || this.#attachments.ids.length > 0;
      const free = !this.#running && !this.#blocked && !this.#attachments.busy;
      return some && free && length(text) <= maxLength();
    }

    /** Whether what came back is still in the box as it came. */
    get #unchanged() {
      const { text, ids = [] } = this.#returned ?? {};
      return this.#box.value === text && String(this.#attachments.ids) === String(ids);
    }

    #key(event) {
      // The Enter that ends a Korean (Japanese, Chinese) composition belongs to the input method.
      // 229: Safari reports the end of the composition before the key.
      if (event.key === "Escape" && !event.isComposing) this.keepMessage();
      if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
      // On a phone, Enter is the only way to a new line, and Send is under the thumb.
      const asked = event.ctrlKey || event.metaKey;
      if (!asked && (event.shiftKey || event.altKey || coarse.matches)) return;
      event.preventDefault();
      if (this.#sendable) this.form.requestSubmit();
    }

    #prepare(event) {
      if (!this.#sendable) return event.preventDefault();
      const { turnId } = this.#returned ?? {};
      this.#turnId.value = turnId && this.#unchanged ? turnId : uuid4();
      event.detail.parameters.turn_id = this.#turnId.value;
      const { ids } = this.#attachments;
      if (ids.length) event.detail.parameters.files = ids;
      if (this.#editing) event.detail.parameters.instead_of = this.#editing.turnId;
    }

    #count(text) {
      const most = maxLength();
      const used = length(text);
      const over = used > most;
      this.#counter.hidden = used < most * COUNT_FROM;
      if (!this.#counter.hidden) this.#counter.textContent = `${numbers.format(used)} / ${numbers.format(most)}`;
      this.#counter.toggleAttribute("data-over", over);
      if (over) this.#box.setAttribute("aria-invalid", "true");
      else this.#box.removeAttribute("aria-invalid");
    }

    /** Stop and Send share a place; a keyboard focus there moves to the box. */
    #swap(running) {
      const leaving = running ? this.#send : this.#stop;
      const focused = document.activeElement === leaving;
      this.#send.hidden = running;
      this.#stop.hidden = !running;
      if (focused) this.focus();
    }

    focus() {
      // On a phone, this would raise the keyboard over the answer.
      if (!coarse.matches) this.#box.focus({ preventScroll: true });
    }

    /** For browsers without `field-sizing: content`. */
    #grow() {
      this.#box.style.height = "auto";
      this.#box.style.height = `${this.#box.scrollHeight}px`;
    }
  }

  /** Count as the server does: code points, not UTF-16 units. */
  function length(text) {
    let count = 0;
    for (const _ of text) count++;
    return count;
  }

  function maxLength() {
    return Number(document.getElementById("turnlog-config")?.dataset.maxLength) || Infinity;
  }

  window.turnlogParts = { ...window.turnlogParts, Composer };
}
