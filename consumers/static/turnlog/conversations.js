"use strict";
{
  /**
   * The list beside the conversation: fetched where it is seen, and again when an answer has ended.
   * While the server is away it is not asked for, but as soon as the page is connected again.
   */

  const NAMED_WITHIN = 4_000; // a name by a model comes a moment after its first answer

  const panel = document.getElementById("turnlog-conversations");
  const page = document.getElementById("turnlog");
  const away = () => ["offline", "unavailable"].includes(page?.dataset.connection);
  let missed = false;

  function look() {
    if (!panel.checkVisibility()) return;
    missed = away();
    if (!missed) htmx.trigger(panel, "turnlog:look");
  }

  if (panel) {
    addEventListener("resize", () => panel.childElementCount || look());
    page?.addEventListener("turnlog:ended", () => {
      look();
      setTimeout(look, NAMED_WITHIN);
    });
    page?.addEventListener("turnlog:ready", () => missed && look());
    addEventListener("load", look); // htmx has seen the page
  }
}
