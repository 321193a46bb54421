// The slider through time. Without this script, the field beside it does the same.
(() => {
  const slider = document.getElementById("review-slider");
  if (!slider || !window.htmx) return;

  const field = document.getElementById("review-at");
  const play = document.getElementById("review-play");
  const resting = play.textContent;
  // Nobody waits for hours that passed in a conversation.
  const longest = 2000;
  let timer = 0;

  slider.hidden = play.hidden = false;

  const pause = () => {
    clearTimeout(timer);
    timer = 0;
    play.textContent = resting;
  };

  const wait = () => {
    const milliseconds = Number(document.getElementById("review-moment").dataset.wait);
    timer = setTimeout(step, Math.min(milliseconds, longest));
  };

  const step = () => {
    if (Number(slider.value) >= Number(slider.max)) return pause();
    slider.value = Number(slider.value) + 1;
    field.value = slider.value;
    htmx.trigger(slider, "review:step");
  };

  slider.addEventListener("input", () => {
    pause();
    field.value = slider.value;
  });

  slider.addEventListener("htmx:afterRequest", (event) => {
    if (!timer) return;
    if (event.detail.successful) wait();
    else pause();
  });

  play.addEventListener("click", () => {
    if (timer) return pause();
    if (Number(slider.value) >= Number(slider.max)) slider.value = 0;
    play.textContent = play.dataset.pause;
    timer = -1;
    step();
  });
})();
