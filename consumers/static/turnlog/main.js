"use strict";
{
  /** Connects the parts: which part hears which event. Each part's file explains the part. */

  const { Attachments, Composer, Connection, Copying, Earlier, Follow, Keeper, Outbox } = window.turnlogParts;
  const { addWords, dress, dropLineBreak, filesOf, mergeTurns, uuid4 } = window.turnlogParts;

  const byId = (id) => document.getElementById(id);
  const page = byId("turnlog");
  const log = byId("turnlog-log");
  const notice = byId("turnlog-notice");
  const pending = byId("turnlog-pending");
  const status = byId("turnlog-status");

  let chosen = null; // { turnId, action }: asked for, and not on the page yet

  const person = page.dataset.person ?? "";

  /** How this page is connected: by a WebSocket, or over HTTP. */
  function open(url) {
    return "stream" in page.dataset ? new window.turnlogParts.StreamSocket(url, page.dataset) : new WebSocket(url);
  }

  const connection = new Connection(() => byId("turnlog-cursor")?.dataset.version ?? "0", person, open);
  const copying = new Copying(connection);
  const keeper = new Keeper(person, page.getAttribute("ws-connect") ?? location.pathname);
  const outbox = new Outbox();
  const attachments = new Attachments(page, {
    tell: (sentence) => tellWords(sentence),
    say: (sentence) => (status.textContent = sentence),
    changed: () => refresh(),
  });
  const composer = new Composer(stop, attachments);
  const earlier = new Earlier();
  const follow = new Follow(page);

  /** Return the running turn, read from the log: a second record could become outdated. */
  function openTurn() {
    return log.querySelector(':scope > [data-outcome="open"]');
  }

  function stop() {
    const turn = openTurn();
    if (turn) connection.send(JSON.stringify({ type: "stop", turn_id: idOf(turn) }));
  }

  function idOf(turn) {
    return turn.id.slice("turn-".length);
  }

  /** Send a person's decision about a tool's call; the log knows what it calls. */
  function decide(button, approved) {
    const asked = button.closest(".turnlog-decide");
    const turnId = button.closest(".turnlog-turn").id.slice("turn-".length);
    const reason = approved ? "" : asked.querySelector(".turnlog-reason").value;
    const call = Number(asked.dataset.call);
    const sent = connection.send(JSON.stringify({ type: "decide", turn_id: turnId, call, approved, reason }));
    if (!sent) return;
    notice.replaceChildren();
    for (const each of asked.querySelectorAll("button")) each.disabled = true;
    composer.focus(); // the buttons go
  }

  /** End a turn that waits for a decision. */
  function stopWaiting(button) {
    const turnId = button.closest(".turnlog-turn").id.slice("turn-".length);
    if (connection.send(JSON.stringify({ type: "stop", turn_id: turnId }))) composer.focus();
  }

  /** Whether the server will not take anything from this page again. */
  function final() {
    return connection.state === "refused" || connection.state === "signed-out";
  }

  /** Keep this page's words over a reload. */
  function keep() {
    const kept = keeper.write({ draft: composer.draft, waiting: outbox.entry });
    // A browser restores a form for whoever comes back to the page, perhaps another person.
    composer.form.setAttribute("autocomplete", kept ? "off" : "on");
  }

  let wasRunning = false;

  /** Update everything that depends on the connection, the log and the outbox. */
  function refresh() {
    const online = connection.state === "connected";
    const running = openTurn() !== null;
    page.dataset.connection = online && running ? "thinking" : connection.state;
    composer.refresh({ running, online, blocked: final() || outbox.full });
    pending.hidden = !outbox.text && !outbox.files.length; // an answer that is asked for again has neither
    pending.dataset.state = online ? "sending" : outbox.tried ? "unconfirmed" : "waiting";
    const names = outbox.files.map(({ name }) => name);
    pending.querySelector("[data-pending-text]").textContent = [outbox.text, ...names].filter(Boolean).join("\n");
    // What has left the page may have arrived: sending can no longer be cancelled, but the words can be had back.
    pending.querySelector('[data-action="cancel"]').hidden = outbox.tried;
    pending.querySelector('[data-action="take-back"]').hidden = !outbox.tried;
    keep();
    if (wasRunning && !running) page.dispatchEvent(new Event("turnlog:ended"));
    wasRunning = running;
  }

  /** Put the message's words back into the box; if they have arrived after all, they leave it again. */
  function takeBack() {
    const { triedTurn } = outbox;
    composer.restore(outbox.take(), triedTurn);
  }

  /** Tell something in the page's own words: the text of a template. */
  function tell(id) {
    notice.replaceChildren(byId(id).content.cloneNode(true));
    status.textContent = notice.textContent;
  }

  /** Tell what was refused in somebody else's words: the server's, or with a file's name. */
  function tellWords(sentence) {
    tell("turnlog-refused");
    notice.firstElementChild.textContent = sentence;
    status.textContent = sentence;
  }

  function transmit() {
    outbox.flush(connection);
    connection.check(); // on a dead connection, the message must not wait for the next heartbeat
  }

  /** Send a message, as often as necessary; what the page said about an earlier one is settled. */
  function say(frame, files = []) {
    outbox.put(frame, files);
    transmit();
    notice.replaceChildren();
    status.textContent = outbox.tried ? "" : pending.querySelector('[data-when="waiting"]').textContent;
    follow.jump();
  }

  /** Return the page's text for a state of the connection: all texts are in the templates. */
  function wordsFor(state) {
    return page.querySelector(`.turnlog-connection > [data-when="${state}"]`)?.textContent ?? "";
  }

  // The connection. htmx draws its frames; see connection.js.

  htmx.createWebSocket = (url) => connection.connect(url);

  connection.addEventListener("state", () => {
    const { state, reason } = connection;
    for (const place of page.querySelectorAll("[data-reason]")) place.textContent = reason;
    if (final()) takeBack();
    refresh();
    if (state !== "connected") status.textContent = wordsFor(state);
    else if (["offline", "unavailable"].map(wordsFor).includes(status.textContent)) {
      status.textContent = wordsFor(state);
    }
  });

  connection.addEventListener("ready", () => {
    if (outbox.full) transmit();
    refresh();
    page.dispatchEvent(new Event("turnlog:ready"));
  });

  connection.addEventListener("words", ({ detail }) => addWords(byId(`answer-${idOf(openTurn())}`), detail));

  connection.addEventListener("known", ({ detail: turnId }) => {
    outbox.take(turnId); // its turn is above what this page shows
    refresh();
  });

  connection.addEventListener("toolarge", () => {
    tell("turnlog-too-long");
    composer.restore(outbox.take()); // sent again, it would close the next connection too
    refresh();
  });

  // Frames, on their way through htmx

  /** Whether a turn begins that is not on the page, perhaps in another tab. */
  function begins(fragment) {
    const open = fragment.querySelector('[data-outcome="open"]');
    return open !== null && !document.getElementById(open.id);
  }

  page.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target, fragment } = event.detail;
    earlier.before(target);
    if (target === log) {
      // Only a text that is new is read out, and the end of each answer has the same one.
      if (begins(fragment) && !notice.firstElementChild) status.textContent = "";
      mergeTurns(fragment);
    }
    dropLineBreak(target, fragment);
  });

  page.addEventListener("htmx:wsAfterMessage", () => {
    outbox.acknowledge();
    if (composer.settle()) notice.replaceChildren();
    const refused = notice.querySelector("[data-refused-turn]");
    // A decision that was refused can be taken again.
    for (const each of page.querySelectorAll(".turnlog-decide button")) each.disabled = false;
    if (refused) composer.restore(outbox.take(refused.dataset.refusedTurn));
    earlier.after();
    follow.stay();
    dress(openTurn());
    focusChosen();
    refresh();
  });

  // What people do

  composer.form.addEventListener("htmx:wsBeforeSend", (event) => {
    event.preventDefault(); // the outbox sends it
    say(event.detail.message, attachments.items);
    composer.clear();
    refresh();
  });

  composer.form.addEventListener("input", () => {
    if (composer.changed()) notice.replaceChildren();
    keep();
  });

  /** Ask in the person's name for the rest of an answer; the draft stays where it is. */
  function goOn(text) {
    if (openTurn() || outbox.full || final()) return;
    say(JSON.stringify({ user_text: text, turn_id: uuid4() }));
    composer.focus(); // the button is gone
  }

  async function copy(button) {
    const done = await copying.copy(button);
    if (!done) return tell("turnlog-not-copied");
    status.textContent = ""; // said twice, it is read out twice
    status.textContent = byId("turnlog-copied").content.textContent;
  }

  /** Ask for another answer to a turn's words, which replaces it. */
  function regenerate(turn) {
    if (openTurn() || outbox.full || final()) return;
    say(JSON.stringify({ type: "again", turn_id: uuid4(), instead_of: idOf(turn) }));
    composer.focus(); // the button will be gone
  }

  /** Return what a person said in a turn, as the text box takes it. */
  function messageOf(turn) {
    return { text: turn.querySelector(".turnlog-human")?.textContent ?? "", files: filesOf(turn) };
  }

  /** Show, and continue from, another turn that stands in a turn's place. */
  function choose(turnId, action) {
    if (!turnId || openTurn() || outbox.full || final()) return;
    if (connection.send(JSON.stringify({ type: "choose", turn_id: turnId }))) chosen = { turnId, action };
  }

  /** Move the keyboard's focus to the same button of the turn that was chosen. */
  function focusChosen() {
    const turn = chosen && byId(`turn-${chosen.turnId}`);
    if (!turn) return;
    const buttons = [...turn.querySelectorAll('[data-action="choose"]')];
    (buttons.find((one) => one.ariaLabel === chosen.action && !one.disabled) ?? buttons.find((one) => !one.disabled))?.focus();
    chosen = null;
  }

  page.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: 0, ArrowRight: 1 }[event.key];
    const pager = event.target.closest(".turnlog-pager");
    if (step === undefined || !pager) return;
    event.preventDefault();
    pager.querySelectorAll("button")[step].click();
  });

  page.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-action]");
    const turn = target.closest(".turnlog-turn");
    const { action, text } = button?.dataset ?? {};
    if (action === "copy" || action === "copy-code") copy(button);
    if (action === "regenerate") regenerate(turn);
    if (action === "choose") choose(button.dataset.turn, button.ariaLabel);
    if (action === "edit") composer.edit(messageOf(turn), idOf(turn));
    if (action === "keep-message") composer.keepMessage();
    if (action === "dismiss") {
      notice.replaceChildren();
      composer.focus();
    }
    if (action === "go-on") goOn(text);
    if (action === "approve" || action === "reject") decide(button, action === "approve");
    if (action === "stop-waiting") stopWaiting(button);
    if (action === "cancel") takeBack();
    if (action === "take-back") {
      takeBack();
      tell("turnlog-perhaps-sent");
    }
    if (action === "again") {
      composer.restore(messageOf(turn));
    }
    refresh();
  });

  // What this page was left with, by a reload or to sign in again.

  const { draft, waiting } = keeper.read();
  if (draft) composer.draft = draft;
  outbox.refill(waiting);
  refresh();
  window.addEventListener("pageshow", () => refresh()); // a browser may restore the text box itself
}
