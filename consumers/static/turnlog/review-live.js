// Keeps a page of the review room up to date. The stream only says that there is something new; the
// page then asks for itself again and takes over what has changed in it.
(() => {
  const status = document.getElementById("review-live");
  const shown = document.getElementById("review-trail") || document.getElementById("review-rows");
  if (!status || !shown || !window.EventSource) return;

  // From the first news to the request, and from one request to the next.
  const settle = 40;
  const rest = 1000;
  // After an answer that was no stream; a connection that was lost, the browser opens again.
  const longest = 300_000;
  let pause = 10_000;
  let stream = status.dataset.stream;
  let source = null;
  let over = false;
  let retry = 0;
  let again = false;
  let timer = 0;
  let asking = false;
  let waiting = false;
  let lately = 0;
  let count = 0;

  // One at a time, and none for a page that nobody sees: of HTTP/1.1, a browser has six connections
  // for all its pages of a site.
  const follow = () => {
    clearTimeout(retry);
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
        if (kind === "stream-reset") again = true;
        if (!["stream-open", "keep-alive"].includes(kind)) want();
      });
    }
    // The server says that this person may not follow any more.
    source.addEventListener("stream-error", () => {
      over = true;
      source.close();
    });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return;
      retry = setTimeout(follow, pause * (1 + Math.random()));
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
    const from = (id) => [document, page].map((each) => each.getElementById(id));
    const news = shown.id === "review-trail" ? turns(...from(shown.id)) : rows(...from(shown.id));
    for (const id of ["review-turns", "review-moment"]) replace(...from(id));
    move(page);
    if (!focused.isConnected) focusAgain(focused);
    say(news);
  };

  // Turns come and change, and stay: above those of the page there are earlier ones. Forms below
  // them stay too, for the version that somebody has seen. Returns how many turns came.
  const turns = (here, there) => {
    const items = (trail) => [...trail.children].filter((child) => child.id);
    const old = new Map(items(here).map((item) => [item.id, item]));
    const found = items(there);
    // Something was erased, or there is a gap between these turns and those.
    if (again || !found.some((item) => old.has(item.id))) {
      here.replaceChildren(...[...there.children].map((child) => document.importNode(child, true)));
      again = false;
      return found.filter((item) => !old.has(item.id)).length;
    }
    let came = 0;
    let last = items(here).at(-1);
    for (const item of found) {
      const before = old.get(item.id);
      if (!before) {
        came += 1;
        last.after(document.importNode(item, true));
        last = last.nextElementSibling;
      } else if (!isSame(before, item) && !isWritten(before)) {
        before.replaceWith(document.importNode(item, true));
        if (before === last) last = document.getElementById(item.id);
      }
    }
    return came;
  };

  // Returns how many rows are not as they were.
  const rows = (here, there) => {
    const bodies = [here, there].map((each) => each.querySelector("tbody"));
    if (!bodies[0] || !bodies[1]) {
      replace(here, there);
      return bodies[1] ? bodies[1].children.length : 0;
    }
    const link = (row) => row.querySelector("a")?.getAttribute("href");
    const old = new Map([...bodies[0].children].map((row) => [link(row), row]));
    let changed = 0;
    const now = [...bodies[1].children].map((row) => {
      const before = old.get(link(row));
      if (before && isSame(before, row)) return before;
      changed += 1;
      return document.importNode(row, true);
    });
    // What is in its place is not moved: it would lose the focus.
    now.forEach((row, place) => {
      const there = bodies[0].children[place];
      if (there !== row) bodies[0].insertBefore(row, there ?? null);
    });
    while (bodies[0].children.length > now.length) bodies[0].lastElementChild.remove();
    return changed;
  };

  const replace = (here, there) => {
    if (!here || !there || isSame(here, there)) return;
    here.replaceChildren(...[...there.childNodes].map((child) => document.importNode(child, true)));
  };

  const isSame = (one, other) => bare(one).isEqualNode(bare(other));

  // Without what is another one in each answer, and what somebody has opened or gone to.
  const bare = (element) => {
    const copy = element.cloneNode(true);
    for (const each of copy.querySelectorAll("[name=csrfmiddlewaretoken]")) each.remove();
    for (const each of copy.querySelectorAll("details")) each.removeAttribute("open");
    copy.removeAttribute("tabindex");
    return copy;
  };

  // Somebody writes a note here.
  const isWritten = (element) => element.querySelector(".review-write[open]");

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
