"use strict";
{
  /**
   * A turn can arrive more than once: after a reconnect, and when it ends. It
   * replaces what is on the page, but what has not changed stays as it is: a
   * reader's selection, an opened card, the place on the screen.
   */

  const { dress } = window.turnlogParts;

  const times = new Intl.DateTimeFormat(document.documentElement.lang || undefined, {
    dateStyle: "medium",
    timeStyle: "short",
  });

  /** Drop turns that are gone, and merge those that are on the page already; call this before htmx puts `fragment` into the log. */
  function mergeTurns(fragment) {
    for (const id of (fragment.dataset?.gone ?? "").split(" ")) document.getElementById(`turn-${id}`)?.remove();
    for (const time of fragment.querySelectorAll("time")) {
      time.textContent = times.format(new Date(time.dateTime)); // in the reader's own zone
    }
    dress(fragment); // as the turns on the page are, to be compared with them
    for (const fresh of [...fragment.children]) {
      const known = document.getElementById(fresh.id);
      const kept = "kept" in fresh.dataset;
      fresh.removeAttribute("data-kept");
      if (known || kept) fresh.remove();
      if (known) keepingSelection(() => (kept ? end(known, fresh) : patch(known, fresh)));
    }
  }

  /** Drop the line break behind an element that is about to go; call this before htmx drops it. */
  function dropLineBreak(target, fragment) {
    const next = target.nextSibling;
    if (fragment.dataset?.drop !== undefined && next?.data === "\n") next.remove();
  }

  /** Add words to an answer: to its last child's last child, as often as `depth` says. */
  function addWords(answer, { depth, content }) {
    let place = answer;
    for (let i = 0; i < depth; i++) place = place.lastElementChild;
    if (place.lastChild instanceof Text) place.lastChild.appendData(content);
    else place.append(content);
  }

  /** Only how the turn ended is new: what stands below the answer. */
  function end(known, fresh) {
    copyAttributes(known, fresh);
    dress(known);
    const answer = known.querySelector(":scope > .turnlog-answer");
    while (answer.nextSibling) answer.nextSibling.remove();
    known.append(...fresh.childNodes);
  }

  /** Make `known` equal to `fresh`, node by node, in order. */
  function patch(known, fresh) {
    if (known.open) fresh.open = true; // a tool's card
    known.normalize(); // words that came in pieces are pieces of text
    if (known.isEqualNode(fresh)) return;
    if (!isHolder(known) || !isHolder(fresh)) return known.replaceWith(fresh);
    copyAttributes(known, fresh);
    const old = [...known.childNodes];
    const made = [...fresh.childNodes];
    made.forEach((node, i) => (old[i] ? patch(old[i], node) : known.append(node)));
    old.slice(made.length).forEach((node) => node.remove());
  }

  function isHolder(node) {
    return node.matches?.(".turnlog-turn, .turnlog-answer") ?? false;
  }

  function copyAttributes(known, fresh) {
    for (const { name, value } of fresh.attributes) known.setAttribute(name, value);
  }

  /** Keep the selection during a change: moving a node drops the selection in it. */
  function keepingSelection(change) {
    const selection = getSelection();
    const { anchorNode, anchorOffset, focusNode, focusOffset, isCollapsed } = selection;
    change();
    if (isCollapsed || !anchorNode.isConnected || !focusNode.isConnected) return;
    selection.setBaseAndExtent(anchorNode, anchorOffset, focusNode, focusOffset);
  }

  window.turnlogParts = { ...window.turnlogParts, addWords, mergeTurns, dropLineBreak };
}
