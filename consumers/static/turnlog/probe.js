"use strict";
{
  const ANSWER_WITHIN = 10_000;

  /**
   * Find out why a socket closed without having opened. The browser does not say,
   * but the page's own address has the same access rules: request that.
   * @returns {Promise<"signed-out"|"refused"|"offline">}
   */
  async function probe() {
    try {
      const answer = await fetch(location.href, {
        method: "HEAD",
        redirect: "manual",
        cache: "no-store",
        signal: AbortSignal.timeout(ANSWER_WITHIN),
      });
      if (answer.type === "opaqueredirect" || answer.status === 401) return "signed-out";
      return answer.status < 500 ? "refused" : "offline";
    } catch {
      return "offline";
    }
  }

  window.turnlogParts = { ...window.turnlogParts, probe };
}
