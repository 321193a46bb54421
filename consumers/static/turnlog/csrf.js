"use strict";
{
  /**
   * Read the page's CSRF token again: who signs in again, in another tab, has another one.
   * @param {DOMStringMap} page where the page's token is
   * @returns {Promise<boolean>} whether there is one
   */
  async function refreshToken(page) {
    const answer = await fetch(location.href, { redirect: "manual", cache: "no-store" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const { csrf } = fresh.getElementById("turnlog")?.dataset ?? {};
    if (csrf) page.csrf = csrf;
    return Boolean(csrf);
  }

  window.turnlogParts = { ...window.turnlogParts, refreshToken };
}
