const ANSWER_WITHIN = 10_000;

/**
 * Why did a socket close without ever having opened? A browser does not tell,
 * but the page's own address is guarded like the socket: ask that.
 * @returns {Promise<"signed-out"|"refused"|"offline">}
 */
export async function probe() {
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
