// Keys of the review room: "?" lists them.
(() => {
  const help = document.getElementById("review-help");
  const turns = () => [...document.querySelectorAll(".review-turn")];
  let current = -1;

  const go = (step) => {
    const all = turns();
    if (!all.length) return;
    current = Math.min(Math.max(current + step, 0), all.length - 1);
    all[current].tabIndex = -1;
    all[current].focus();
    all[current].scrollIntoView({ block: "start" });
  };

  const note = () => {
    const write = (turns()[current] ?? document).querySelector(".review-write");
    if (!write) return;
    write.open = true;
    const words = write.querySelector("textarea");
    const quote = write.querySelector('[name="quote"]');
    // The words that are selected in this turn are what the note is about.
    const selected = getSelection();
    const within = selected.rangeCount && write.parentElement.contains(selected.anchorNode);
    if (quote && within && !quote.value) quote.value = String(selected).slice(0, quote.maxLength);
    words?.focus();
  };

  const actions = {
    j: () => go(1),
    k: () => go(-1),
    n: note,
    "/": () => document.querySelector("#review-find, #review-q")?.focus(),
    "?": () => (help.open ? help.close() : help.showModal()),
  };

  document.addEventListener("focusin", (event) => {
    const turn = event.target.closest?.(".review-turn");
    if (turn) current = turns().indexOf(turn);
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const action = actions[event.key];
    if (!action || (help.open && event.key !== "?")) return;
    event.preventDefault();
    action();
  });
})();
