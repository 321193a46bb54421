/** Connects the parts: which part hears which event. Each part's file explains the part. */
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { Earlier } from "./earlier.js";
import { Follow } from "./follow.js";
import { Outbox } from "./outbox.js";
import { mergeTurns } from "./turns.js";

const byId = (id) => document.getElementById(id);
const page = byId("turnlog");
const log = byId("turnlog-log");
const notice = byId("turnlog-notice");
const pending = byId("turnlog-pending");
const status = byId("turnlog-status");

const connection = new Connection(() => byId("turnlog-cursor")?.dataset.version ?? "0");
const outbox = new Outbox();
const composer = new Composer(stop);
const earlier = new Earlier();
const follow = new Follow(page);

/** Return the running turn, read from the log: a second record could become outdated. */
function openTurn() {
  return log.querySelector(':scope > [data-outcome="open"]');
}

function stop() {
  const turn = openTurn();
  if (turn) connection.send(JSON.stringify({ type: "stop", turn_id: turn.id.slice("turn-".length) }));
}

/** Update everything that depends on the connection, the log and the outbox. */
function refresh() {
  const online = connection.state === "connected";
  const running = openTurn() !== null;
  const final = connection.state === "refused" || connection.state === "signed-out";
  page.dataset.connection = online && running ? "thinking" : connection.state;
  composer.refresh({ running, online, blocked: final || outbox.full });
  pending.hidden = !outbox.full;
  pending.dataset.state = online ? "sending" : "waiting";
  pending.querySelector("[data-pending-text]").textContent = outbox.text;
  // What has left the page may have arrived, so sending can no longer be cancelled.
  pending.querySelector('[data-action="take-back"]').hidden = outbox.tried;
}

function transmit() {
  outbox.flush(connection);
  connection.check(); // on a dead connection, the message must not wait for the next heartbeat
}

/** Return the page's text for a state of the connection: all texts are in the templates. */
function wordsFor(state) {
  return page.querySelector(`.turnlog-connection > [data-when="${state}"]`)?.textContent ?? "";
}

// The connection. htmx draws its frames; see connection.js.

htmx.createWebSocket = (url) => connection.connect(url);

connection.addEventListener("state", () => {
  const { state } = connection;
  if (state === "refused" || state === "signed-out") composer.restore(outbox.take());
  refresh();
  if (state !== "connected") status.textContent = wordsFor(state);
  else if (status.textContent === wordsFor("offline")) status.textContent = wordsFor(state);
});

connection.addEventListener("ready", () => {
  if (outbox.full) transmit();
  refresh();
});

connection.addEventListener("toolarge", () => {
  notice.replaceChildren(byId("turnlog-too-long").content.cloneNode(true));
  status.textContent = notice.textContent;
  composer.restore(outbox.take()); // sent again, it would close the next connection too
  refresh();
});

// Frames, on their way through htmx

page.addEventListener("htmx:oobBeforeSwap", ({ detail: { target, fragment } }) => {
  earlier.before(target);
  if (target === log) mergeTurns(fragment);
});

page.addEventListener("htmx:wsAfterMessage", () => {
  outbox.acknowledge();
  const refused = notice.querySelector("[data-refused-turn]");
  if (refused) composer.restore(outbox.take(refused.dataset.refusedTurn));
  earlier.after();
  refresh();
});

// What people do

const draftKey = `turnlog-draft:${location.pathname}`;

composer.form.addEventListener("htmx:wsBeforeSend", (event) => {
  event.preventDefault(); // the outbox sends it, as often as necessary
  outbox.put(event.detail.message);
  transmit();
  notice.replaceChildren();
  composer.clear();
  follow.jump();
  refresh();
});

page.addEventListener("click", ({ target }) => {
  const action = target.closest("[data-action]")?.dataset.action;
  if (action === "sign-in") sessionStorage.setItem(draftKey, composer.draft);
  if (action === "take-back") composer.restore(outbox.take());
  if (action === "again") composer.restore(target.closest(".turnlog-turn").querySelector(".turnlog-human").textContent);
  refresh();
});

// Signing in again leaves this page: the tab keeps the draft until the user is back.
window.addEventListener("pageshow", () => {
  composer.restore(sessionStorage.getItem(draftKey) ?? "");
  sessionStorage.removeItem(draftKey);
  refresh();
});
