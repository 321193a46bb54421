"use strict";
{
  const ANSWER_WITHIN = 10_000;

  /**
   * Find out how the page itself stands, after its socket closed without a greeting:
   * a browser does not say why a handshake failed. The page's own address has the
   * same access rules, so request that.
   * @returns {Promise<"signed-out"|"refused"|"served"|"offline">}
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
      if ([403, 404, 410].includes(answer.status)) return "refused";
      return answer.status < 500 ? "served" : "offline";
    } catch {
      return "offline";
    }
  }

  window.turnlogParts = { ...window.turnlogParts, probe };
}
