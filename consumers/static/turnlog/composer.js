/** The text box: when its text may be sent, by which key, and how it is counted. */

const coarse = matchMedia("(pointer: coarse)");
const numbers = new Intl.NumberFormat(document.documentElement.lang || undefined);
const COUNT_FROM = 0.9; // of the limit: below that, the counter is noise

export class Composer {
  form = document.getElementById("turnlog-composer");
  #box = document.getElementById("turnlog-text");
  #turnId = document.getElementById("turnlog-turn-id");
  #send = document.getElementById("turnlog-send");
  #stop = document.getElementById("turnlog-stop");
  #hint = document.getElementById("turnlog-hint");
  #counter = document.getElementById("turnlog-counter");
  #running = false;
  #blocked = true;

  /** @param {() => void} onStop */
  constructor(onStop) {
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
    const written = text.trim() !== "";
    this.#count(text);
    this.#hint.hidden = !(running && written);
    this.#stop.disabled = !online;
    this.#send.disabled = !this.#sendable;
    if (this.#stop.hidden === running) this.#swap(running);
    if (!CSS.supports("field-sizing", "content")) this.#grow();
  }

  /** Put text that was not sent back into the box, before any text written since. */
  restore(text) {
    if (!text) return;
    this.#box.value = this.#box.value.trim() ? `${text}\n\n${this.#box.value}` : text;
    this.refresh();
    this.#focus();
  }

  /** Empty the box: its text is being sent. */
  clear() {
    this.#box.value = "";
    this.#turnId.value = "";
    this.refresh();
    this.#focus();
  }

  get draft() {
    return this.#box.value;
  }

  get #sendable() {
    const text = this.#box.value;
    return text.trim() !== "" && !this.#running && !this.#blocked && length(text) <= maxLength();
  }

  #key(event) {
    // The Enter that ends a Korean (Japanese, Chinese) composition belongs to the input method.
    // 229: Safari reports the end of the composition before the key.
    if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
    // On a phone, Enter is the only way to a new line, and Send is under the thumb.
    const asked = event.ctrlKey || event.metaKey;
    if (!asked && (event.shiftKey || event.altKey || coarse.matches)) return;
    event.preventDefault();
    if (this.#sendable) this.form.requestSubmit();
  }

  #prepare(event) {
    if (!this.#sendable) return event.preventDefault();
    this.#turnId.value = uuid4();
    event.detail.parameters.turn_id = this.#turnId.value;
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
    if (focused) this.#focus();
  }

  #focus() {
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

/** Make a random UUID: crypto.randomUUID is missing if the page came over plain http. */
function uuid4() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
