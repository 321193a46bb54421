"use strict";
{
  /**
   * The pictures and files that the next message will have: chosen, pasted or dropped. Each is sent
   * to the server at once, which checks it and gives it a name; the message only has the names.
   */

  const { refreshToken } = window.turnlogParts;

  const SIDE = 48; // CSS pixels of a preview

  class Attachments {
    #page;
    #list = document.getElementById("turnlog-attached");
    #button = document.getElementById("turnlog-attach");
    #input = document.getElementById("turnlog-file");
    #card = document.getElementById("turnlog-attached-file");
    #items = []; // { id, name, kind, card, request }: no id before the server has taken it
    #tell;
    #say;
    #changed;

    /**
     * @param {HTMLElement} page
     * @param {object} told
     * @param {(sentence: string) => void} told.tell what was refused, and why
     * @param {(sentence: string) => void} told.say what a screen reader says
     * @param {() => void} told.changed there are others, or they can be sent now
     */
    constructor(page, { tell, say, changed }) {
      this.#page = page;
      this.#tell = tell;
      this.#say = say;
      this.#changed = changed;
      this.#button.addEventListener("click", () => this.#input.click());
      this.#input.addEventListener("change", () => {
        this.add(this.#input.files);
        this.#input.value = ""; // the same file may be chosen again
      });
      this.#list.addEventListener("click", ({ target }) => {
        const card = target.closest("button")?.closest("li");
        if (card) this.#remove(this.#items.find((item) => item.card === card));
      });
      document.getElementById("turnlog-text").addEventListener("paste", (event) => this.#paste(event));
      for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
        page.addEventListener(type, (event) => this.#drag(event));
      }
    }

    /** What is ready to be sent, as it can be kept over a reload. */
    get items() {
      return this.#items.filter(({ id }) => id).map(({ id, name, kind }) => ({ id, name, kind }));
    }

    get ids() {
      return this.items.map(({ id }) => id);
    }

    /** Whether one is still on its way. */
    get busy() {
      return this.#items.some(({ id }) => !id);
    }

    /** Show what the server's greeting says: whether and which files can be sent. */
    refresh() {
      const { files, accept = "" } = config();
      this.#button.hidden = !files;
      this.#input.accept = accept;
    }

    /** @param {Iterable<File>} files */
    add(files) {
      const { files: url, most, largest } = config();
      if (!url) return;
      for (const file of files) {
        if (this.#items.length >= Number(most)) return this.#tell(this.#words("too-many", { most }));
        if (file.size > Number(largest)) this.#tell(this.#words("too-large", { name: file.name, largest: size(largest) }));
        else this.#send(file, url);
      }
    }

    /** Put back what was taken to be sent, before what was added since. */
    restore(items) {
      const cards = items.map((item) => ({ ...item, card: this.#draw(item.name, null) }));
      this.#list.prepend(...cards.map(({ card }) => card));
      this.#items.unshift(...cards);
      this.#changed();
    }

    /** They are being sent. */
    clear() {
      this.#items = [];
      this.#list.replaceChildren();
    }

    #send(file, url) {
      const item = { id: null, name: file.name, kind: "", card: this.#draw(file.name, file) };
      this.#items.push(item);
      this.#list.append(item.card);
      this.#post(item, file, url);
      this.#changed();
    }

    #post(item, file, url, again = true) {
      const request = (item.request = new XMLHttpRequest());
      const form = new FormData();
      form.append("file", file, file.name || "file");
      request.upload.onprogress = ({ loaded, total }) => {
        item.card.querySelector("progress").value = total ? loaded / total : 0;
      };
      request.onload = async () => {
        const told = parsed(request.responseText);
        if (request.status === 201 && told?.id) return this.#taken(item, told);
        if (request.status === 403 && !told && again && (await refreshToken(this.#page.dataset).catch(() => false))) {
          return this.#post(item, file, url, false);
        }
        this.#lost(item, told?.content);
      };
      request.onerror = () => this.#lost(item);
      request.open("POST", url);
      request.setRequestHeader("X-CSRFToken", this.#page.dataset.csrf ?? "");
      request.send(form);
    }

    #taken(item, { id, name, kind }) {
      Object.assign(item, { id, name, kind, request: null });
      name_(item.card, name);
      item.card.removeAttribute("data-sending");
      this.#say(this.#words("added", { name }));
      this.#changed();
    }

    #lost(item, sentence) {
      if (!this.#items.includes(item)) return;
      this.#drop(item);
      this.#tell(sentence ? `${item.name}: ${sentence}` : this.#words("not-sent", { name: item.name }));
      this.#changed();
    }

    #remove(item) {
      item.request?.abort();
      this.#drop(item);
      const { files: url } = config();
      if (url && item.id && !item.id.includes(".")) {
        const headers = { "X-CSRFToken": this.#page.dataset.csrf ?? "" };
        // If this fails, the server drops it later.
        fetch(`${url}${item.id}/`, { method: "DELETE", headers }).catch(() => {});
      }
      this.#changed();
      document.getElementById("turnlog-text").focus({ preventScroll: true });
    }

    #drop(item) {
      item.card.remove();
      this.#items = this.#items.filter((other) => other !== item);
    }

    #draw(name, file) {
      const card = this.#card.content.firstElementChild.cloneNode(true);
      name_(card, name);
      if (file) {
        card.setAttribute("data-sending", "");
        preview(card.querySelector("canvas"), file);
      }
      return card;
    }

    #paste(event) {
      const { clipboardData: data } = event;
      // Office programs copy a picture of the words beside the words.
      if (!data?.files.length || data.types.includes("text/plain") || !config().files) return;
      event.preventDefault();
      this.add(data.files);
    }

    #drag(event) {
      if (!event.dataTransfer?.types.includes("Files") || !config().files) return;
      event.preventDefault(); // or the browser would leave the page and show the file
      const over = event.type === "dragenter" || event.type === "dragover";
      const left = event.type === "dragleave" && this.#page.contains(event.relatedTarget);
      this.#page.toggleAttribute("data-dropping", over || left);
      if (event.type === "drop") this.add(event.dataTransfer.files);
    }

    /** Return one of the template's sentences, with its blanks filled in. */
    #words(name, blanks) {
      const text = document.getElementById(`turnlog-file-${name}`).content.textContent;
      return Object.entries(blanks).reduce((told, [blank, value]) => told.replace(`{${blank}}`, () => value), text);
    }
  }

  function config() {
    return document.getElementById("turnlog-config")?.dataset ?? {};
  }

  function name_(card, name) {
    card.querySelector("[data-name]").textContent = name;
    const button = card.querySelector("button");
    button.setAttribute("aria-label", button.dataset.label.replace("{name}", () => name));
  }

  /** Draw a picture small, without an address of its own: a strict policy allows no blob: there. */
  async function preview(canvas, file) {
    const image = await createImageBitmap(file).catch(() => null); // it is none, or none that is known here
    if (!image) return;
    const side = SIDE * (window.devicePixelRatio || 1);
    const scale = Math.max(side / image.width, side / image.height);
    canvas.width = canvas.height = side;
    const [width, height] = [image.width * scale, image.height * scale];
    canvas.getContext("2d").drawImage(image, (side - width) / 2, (side - height) / 2, width, height);
    image.close();
    canvas.hidden = false;
  }

  function size(bytes) {
    const numbers = new Intl.NumberFormat(document.documentElement.lang || undefined, { maximumFractionDigits: 1 });
    return `${numbers.format(bytes / 2 ** 20)} MB`;
  }

  function parsed(text) {
    try {
      return JSON.parse(text);
    } catch {
      return null;
    }
  }

  /** Return what an earlier turn on the page was sent with, as it can be sent again. */
  function filesOf(turn) {
    return Array.from(turn.querySelectorAll(".turnlog-files > [data-file]"), ({ dataset }) => ({
      id: dataset.file,
      name: dataset.name,
      kind: dataset.kind,
    }));
  }

  window.turnlogParts = { ...window.turnlogParts, Attachments, filesOf };
}
