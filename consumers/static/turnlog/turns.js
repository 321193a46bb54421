/**
 * A turn can arrive more than once: after a reconnect, and when it ends. It
 * replaces what is on the page, but what has not changed stays as it is: a
 * reader's selection, an opened card, the place on the screen.
 */

const times = new Intl.DateTimeFormat(document.documentElement.lang || undefined, {
  dateStyle: "medium",
  timeStyle: "short",
});

/** Merge turns that are on the page already; call this before htmx puts `fragment` into the log. */
export function mergeTurns(fragment) {
  for (const time of fragment.querySelectorAll("time")) {
    time.textContent = times.format(new Date(time.dateTime)); // in the reader's own zone
  }
  for (const fresh of [...fragment.children]) {
    const known = document.getElementById(fresh.id);
    if (!known) continue;
    fresh.remove();
    keepingSelection(() => {
      unwrapTail(known);
      patch(known, fresh);
    });
  }
}

/** Make the block that was still being written a block like the others. */
function unwrapTail(turn) {
  const tail = turn.querySelector(".turnlog-tail");
  tail?.replaceWith(...tail.childNodes);
}

/** Make `known` equal to `fresh`, element by element, in order. */
function patch(known, fresh) {
  if (known.open) fresh.open = true; // a tool's card
  if (known.isEqualNode(fresh)) return;
  const inside = ".turnlog-turn, .turnlog-answer";
  if (!known.matches(inside) || !fresh.matches(inside)) return known.replaceWith(fresh);
  for (const { name, value } of fresh.attributes) known.setAttribute(name, value);
  const old = [...known.children];
  [...fresh.children].forEach((child, i) => (old[i] ? patch(old[i], child) : known.append(child)));
  old.slice(fresh.childElementCount).forEach((child) => child.remove());
}

/** Keep the selection during a change: moving a node drops the selection in it. */
function keepingSelection(change) {
  const selection = getSelection();
  const { anchorNode, anchorOffset, focusNode, focusOffset, isCollapsed } = selection;
  change();
  if (isCollapsed || !anchorNode.isConnected || !focusNode.isConnected) return;
  selection.setBaseAndExtent(anchorNode, anchorOffset, focusNode, focusOffset);
}
