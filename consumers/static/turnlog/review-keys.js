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

  // A queue's item. Without one, these keys do nothing.
  const click = (id) => () => document.getElementById(id)?.click();
  const submit = (id) => () => document.getElementById(id)?.requestSubmit();

  const flag = () => {
    const write = document.getElementById("review-flag");
    if (!write) return;
    write.open = true;
    write.querySelector('[name="reason"]').focus();
  };

  // Digits fill the fields one after the other; with all of them full, the last one changes.
  const score = (digit) => {
    const form = document.getElementById("review-complete") ?? document.getElementById("review-resolve");
    const fields = [...(form?.querySelectorAll('[name^="score-"]') ?? [])];
    const field = fields.find((each) => !each.value) ?? fields.at(-1);
    if (!field) return;
    const cannot = digit === "0" && !(Number(field.dataset.low) <= 0);
    if (cannot) field.value = "?";
    else if (!field.options) field.value = digit;
    else if (Number(digit) < field.options.length - 1) field.selectedIndex = Number(digit);
  };

  const actions = {
    "[": click("review-queue-previous"),
    "]": click("review-queue-next"),
    c: submit("review-complete"),
    s: submit("review-skip"),
    t: submit("review-take"),
    f: flag,
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
    const digit = /^[0-9]$/.test(event.key) && event.key;
    const action = digit ? () => score(digit) : actions[event.key];
    if (!action || (help.open && event.key !== "?")) return;
    event.preventDefault();
    action();
  });
})();
