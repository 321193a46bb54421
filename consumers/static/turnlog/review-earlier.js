// Earlier turns come as one scrolls up to them, and the reader keeps the place. Without this script
// the link leads to them.
(() => {
  if (!document.getElementById("review-trail")) return;

  // Pixels above the window in which a link counts as reached.
  const near = 300;
  let asking = false;
  let last = scrollY;

  // Looked for each time: the slider and the stream put others in their places.
  const trail = () => document.getElementById("review-trail");
  const link = () => trail().querySelector('a.review-more[rel="prev"]');
  const items = (within) => [...within.children].filter((child) => child.id);

  const load = async () => {
    const way = link();
    if (asking || !way) return;
    asking = true;
    way.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(way.href, { headers: { Accept: "text/html" } });
      // A redirect leads to the login.
      if (answer.ok && !answer.redirected && way.isConnected) {
        take(way, new DOMParser().parseFromString(await answer.text(), "text/html"));
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // The network is away.
    } finally {
      way.removeAttribute("aria-busy");
      asking = false;
    }
  };

  const take = (way, page) => {
    const found = page.getElementById("review-trail");
    const first = items(trail())[0];
    if (!found || !first) return;
    const focused = document.activeElement === way;
    const top = first.getBoundingClientRect().top;
    const there = new Set(items(trail()).map((item) => item.id));
    const earlier = items(found).filter((item) => !there.has(item.id));
    const next = found.querySelector('a.review-more[rel="prev"]')?.parentElement;
    way.parentElement.remove();
    first.before(...[next, ...earlier].filter(Boolean).map((each) => document.importNode(each, true)));
    const list = document.querySelector("#review-turns ol");
    const entries = page.querySelectorAll("#review-turns li");
    list?.prepend(...[...entries].map((each) => document.importNode(each, true)));
    scrollBy({ top: first.getBoundingClientRect().top - top, behavior: "instant" });
    if (!focused) return;
    if (link()) return link().focus({ preventScroll: true });
    first.tabIndex = -1;
    first.focus({ preventScroll: true });
  };

  const reached = () => {
    const way = link();
    if (way && way.getBoundingClientRect().bottom > -near) load();
  };

  // Only on the way up: a page that was just opened shows its link at once.
  addEventListener(
    "scroll",
    () => {
      if (scrollY < last) reached();
      last = scrollY;
    },
    { passive: true },
  );

  // At the top there is no way up, but a wheel that turns.
  addEventListener(
    "wheel",
    (event) => {
      if (event.deltaY < 0 && scrollY === 0) reached();
    },
    { passive: true },
  );

  document.addEventListener("click", (event) => {
    const way = event.target.closest?.('#review-trail a.review-more[rel="prev"]');
    if (!way || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    load();
  });
})();
