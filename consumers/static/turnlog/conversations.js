"use strict";
{
  /** The list beside the conversation: fetched where it is seen, and again when an answer has ended. */

  const NAMED_WITHIN = 4_000; // a name by a model comes a moment after its first answer

  const panel = document.getElementById("turnlog-conversations");
  const look = () => panel.checkVisibility() && htmx.trigger(panel, "turnlog:look");

  if (panel) {
    addEventListener("resize", () => panel.childElementCount || look());
    document.getElementById("turnlog")?.addEventListener("turnlog:ended", () => {
      look();
      setTimeout(look, NAMED_WITHIN);
    });
    addEventListener("load", look); // htmx has seen the page
  }
}
