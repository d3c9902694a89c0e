"use strict";
// The state of the live stream: what the reader is told about it, when it pauses, and what happens without it.
(() => {
  const GRACE = 4000; // a reading this late is not worth a word
  const HIDDEN = 15000; // a hidden tab lets its socket go after this
  const POLL = 5000;
  const AGAIN = 2000;
  const NORMAL = 1000;
  const WORDS = { connecting: "Connecting", live: "Live", paused: "Paused", polling: "Polling", down: "Disconnected" };

  const stream = document.getElementById("live");
  const button = document.getElementById("live-state");
  if (!stream || !button) return;
  button.hidden = false;
  const banner = document.getElementById("banner");
  const announce = document.getElementById("announce");

  let socket = null;
  let open = false;
  let paused = false;
  let ended = ""; // why the server wants no more of us
  let fresh = performance.now(); // when the figures on the page were read
  let hideTimer = 0;
  let shown = "";

  // Quick at first, and never longer than eight seconds: somebody is looking.
  htmx.config.wsReconnectDelay = (tries) => Math.min(8000, 500 * 1.6 ** tries) * (0.6 + Math.random() * 0.4);

  const age = () => Math.max(0, performance.now() - fresh);
  const wanted = () => !paused && !ended && !document.hidden;

  function state() {
    if (ended) return "down";
    if (paused) return "paused";
    if (age() > GRACE + (open ? 0 : POLL)) return "down";
    if (open) return "live";
    return performance.now() < GRACE ? "connecting" : "polling";
  }

  function tell() {
    const now = state();
    const seconds = Math.round(age() / 1000);
    const stale = now === "down" || (now === "paused" && seconds > 5);
    const text = ended || `${now === "paused" ? "Paused" : "Disconnected"}. These figures are ${span(seconds)} old.` +
      (now === "paused" ? " Press p to go on." : " Trying again…");
    banner.hidden = !stale;
    document.getElementById("banner-link").hidden = !ended;
    const line = document.getElementById("banner-text");
    if (stale && line.textContent !== text) line.textContent = text;
    if (now === shown) return;
    shown = now;
    button.dataset.state = now;
    button.setAttribute("aria-pressed", String(now === "paused"));
    button.querySelector(".live-word").textContent = WORDS[now];
    // Said once for each change, never with each figure.
    if (now !== "connecting") announce.textContent = `Live figures: ${WORDS[now]}`;
  }

  const span = (seconds) => (seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`);

  function release() {
    if (socket && open) stream["htmx-internal-data"]?.webSocket?.close();
  }

  function resume() {
    if (wanted() && !open && socket) socket.reconnect();
    poll();
    tell();
  }

  function poll() {
    for (const panel of document.querySelectorAll("[data-panel]")) htmx.trigger(panel, "poll");
  }

  function toggle() {
    paused = !paused;
    if (paused) release();
    else resume();
    tell();
  }

  document.body.addEventListener("htmx:wsOpen", (event) => {
    socket = event.detail.socketWrapper;
    open = true;
    if (!wanted()) release();
    tell();
  });
  document.body.addEventListener("htmx:wsClose", (event) => {
    open = false;
    const code = event.detail.event.code;
    if (code === 4401) ended = "You are signed out.";
    if (code === 4403) ended = "You may not look at this any more.";
    // htmx tries again by itself after these; after any other end that nobody here has wished for, we do.
    if (![1006, 1011, 1012, 1013].includes(code)) {
      setTimeout(() => { if (wanted() && !open) socket?.reconnect(); }, AGAIN);
    }
    tell();
  });
  document.body.addEventListener("htmx:wsBeforeMessage", (event) => {
    if (paused) event.preventDefault();
  });
  document.body.addEventListener("htmx:wsAfterMessage", () => {
    const seconds = Number(document.getElementById("live-tick")?.value ?? 0);
    fresh = performance.now() - (seconds > 2 ? seconds * NORMAL : 0);
    tell();
  });
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status === 401) ended = "You are signed out.";
  });
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful && event.target.matches("[data-panel]")) fresh = performance.now();
    tell();
  });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hideTimer);
    if (document.hidden) hideTimer = setTimeout(release, HIDDEN);
    else if (!paused) resume();
  });
  button.addEventListener("click", toggle);
  document.addEventListener("console:pause", toggle);
  setInterval(tell, NORMAL);
  setInterval(() => {
    if (!open && wanted()) poll();
  }, POLL);
})();
