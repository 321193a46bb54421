// Keeps a page of the review room up to date. The stream only says that there is something new; the
// page then asks for itself again and takes over what has changed in it.
(() => {
  const status = document.getElementById("review-live");
  const shown = document.getElementById("review-trail") || document.getElementById("review-rows");
  if (!status || !shown || !window.EventSource) return;

  // From the first news to the request, and from one request to the next.
  const settle = 200;
  const rest = 1000;
  // After an answer that was no stream; a connection that was lost, the browser opens again.
  const longest = 300_000;
  let pause = 10_000;
  let stream = status.dataset.stream;
  let source = null;
  let over = false;
  let again = 0;
  let timer = 0;
  let asking = false;
  let waiting = false;
  let lately = 0;
  let count = 0;

  // One at a time, and none for a page that nobody sees: of HTTP/1.1, a browser has six connections
  // for all its pages of a site.
  const follow = () => {
    clearTimeout(again);
    source?.close();
    if (document.hidden) return;
    source = new EventSource(stream);
    for (const kind of ["stream-open", "version", "list", "stream-reset", "keep-alive"]) {
      source.addEventListener(kind, (event) => {
        if (event.lastEventId) {
          const url = new URL(stream, location.href);
          url.searchParams.set("lastEventId", event.lastEventId);
          stream = url.href;
        }
        if (kind === "stream-open") pause = 10_000;
        else if (kind !== "keep-alive") want();
      });
    }
    // The server says that this person may not follow any more.
    source.addEventListener("stream-error", () => {
      over = true;
      source.close();
    });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return;
      again = setTimeout(follow, pause * (1 + Math.random()));
      pause = Math.min(2 * pause, longest);
    });
  };

  const want = () => {
    waiting = true;
    if (timer || asking || document.hidden) return;
    const left = lately + rest - Date.now();
    timer = setTimeout(ask, Math.max(settle, left));
  };

  // The slider stands in the past: what is shown does not change.
  const isPast = () => new URLSearchParams(location.search).has("at");

  const ask = async () => {
    timer = 0;
    if (isPast()) return;
    asking = true;
    waiting = false;
    lately = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      // A redirect leads to the login.
      if (answer.ok && !answer.redirected) {
        const text = await answer.text();
        if (!isPast()) take(new DOMParser().parseFromString(text, "text/html"));
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      waiting = true; // The network is away.
    } finally {
      asking = false;
    }
    if (waiting) want();
  };

  const take = (page) => {
    const focused = document.activeElement;
    const [turns] = mirror(page, "review-trail");
    const [, rows] = mirror(page, "review-rows");
    mirror(page, "review-turns");
    mirror(page, "review-moment");
    move(page);
    if (!focused.isConnected) focusAgain(focused);
    say(turns + rows);
  };

  // Makes the children of one element those of another; what is the same stays, with its focus.
  // Returns how many came, and how many came or changed.
  const mirror = (page, id) => {
    let [here, there] = [document, page].map((each) => each.getElementById(id));
    if (!here || !there) return [0, 0];
    const rows = [here, there].map((each) => each.querySelector("tbody"));
    if (rows[0] && rows[1]) [here, there] = rows;
    const kept = new Map();
    for (const child of here.children) kept.set(keyOf(child), child);
    let came = 0;
    let changed = 0;
    let place = here.firstElementChild;
    for (const child of [...there.children]) {
      const old = kept.get(keyOf(child));
      const same = old && folded(old).isEqualNode(folded(child));
      came += !old;
      changed += !same;
      const next = same ? old : document.importNode(child, true);
      if (old) kept.delete(keyOf(child));
      if (next === place) {
        place = place.nextElementSibling;
        continue;
      }
      here.insertBefore(next, place);
      if (old && !same) {
        if (old === place) place = place.nextElementSibling;
        old.remove();
      }
    }
    for (const child of kept.values()) child.remove();
    return [came, changed];
  };

  // What somebody has opened to read it is no change.
  const folded = (element) => {
    const copy = element.cloneNode(true);
    for (const each of copy.querySelectorAll("details")) each.removeAttribute("open");
    return copy;
  };

  // A turn by its own name, a row by the conversation that it leads to.
  const keyOf = (child) => child.id || child.querySelector("a")?.getAttribute("href") || "";

  const move = (page) => {
    const slider = document.getElementById("review-slider");
    const newer = page.getElementById("review-slider");
    if (!slider || !newer) return;
    const field = document.getElementById("review-at");
    slider.max = field.max = newer.max;
    slider.value = newer.max;
    if (field !== document.activeElement) field.value = newer.max;
  };

  const focusAgain = (lost) => {
    const address = lost.getAttribute("href");
    if (!address) return;
    const same = [...shown.querySelectorAll("a")].find(
      (link) => link.getAttribute("href") === address,
    );
    same?.focus({ preventScroll: true });
  };

  const say = (news) => {
    count += news;
    if (news) status.textContent = shown.dataset.news.replace("%d", count);
  };

  // Whoever looks has read what was new.
  const seen = () => {
    count = 0;
  };
  document.addEventListener("visibilitychange", () => {
    if (!over) follow();
    if (!document.hidden && waiting) want();
  });
  document.addEventListener("pointerdown", seen);
  document.addEventListener("keydown", seen);
  window.addEventListener("popstate", () => waiting && want());

  follow();
})();
