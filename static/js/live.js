"use strict";
// The state of the live stream: what the reader is told about it, when it pauses, and what happens without it.
(() => {
  const GRACE = 4000; // a reading this late is not worth a word
  const HIDDEN = 5000; // a hidden tab lets its socket go after this
  const POLL = 5000;
  const AGAIN = 2000; // between two tries of a page that reaches nobody
  const LATER = 30000; // and of one for which another must be closed first
  const NORMAL = 1000;
  const WORDS = { connecting: "Connecting", live: "Live", paused: "Paused", polling: "Polling", behind: "Behind", down: "Disconnected" };
  const HINTS = {
    connecting: "The live figures are on their way",
    live: "Figures change as they are read. p pauses them",
    paused: "Nothing changes until you go on (p)",
    polling: "The live connection cannot be opened: the figures are asked for every 5 s. p pauses them",
    crowded: "You have many live pages open: this one asks for its figures every 5 s, until another is closed",
    behind: "More is watched than the server reads each second: some figures come late",
    down: "The server does not answer; the page tries again by itself",
  };

  const paces = [...document.querySelectorAll("[data-pace]")];
  const stream = document.getElementById("live");
  const button = document.getElementById("live-state");
  if (!stream || !button) return;
  const banner = document.getElementById("banner");
  const announce = document.getElementById("announce");

  let socket = null;
  let open = false;
  let paused = false;
  let pace = 1; // seconds between two frames
  let failed = false; // the last question found nobody who answers
  let crowded = false; // this person has all the live pages that one may have
  let behind = false; // the server reads, but not all that is watched in time
  let ended = ""; // why the server wants no more of us
  let fresh = performance.now(); // when the figures on the page were read
  let asked = fresh; // since when we want them
  let polled = fresh;
  let hideTimer = 0;
  let shown = "";

  // Quick at first, and never longer than five seconds: somebody is looking.
  htmx.config.wsReconnectDelay = (tries) => Math.min(5000, 500 * 1.6 ** tries) * (0.6 + Math.random() * 0.4);

  try {
    pace = Number(localStorage.getItem("pace")) || 1;
  } catch {
    // Storage is blocked: as fast as there is news.
  }

  const late = () => GRACE + (pace - 1) * NORMAL;
  const age = () => Math.max(0, performance.now() - fresh);
  const wanted = () => !paused && !ended && !document.hidden;

  function state() {
    if (ended) return "down";
    if (paused) return "paused";
    if (open && !crowded) return age() <= late() ? "live" : behind ? "behind" : "down";
    if (failed) return "down";
    if (crowded && age() <= late() + POLL) return "polling";
    if (performance.now() - asked < GRACE) return "connecting";
    return age() > late() + POLL ? "down" : "polling";
  }

  const span = (seconds) => (seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`);

  function tell() {
    const now = state();
    const seconds = Math.round(age() / 1000);
    const stale = now === "down" || now === "behind" || (now === "paused" && seconds > 5);
    const old = now === "behind"
      ? `Some of these figures are ${span(seconds)} old: more is watched than the server reads each second.`
      : `${now === "paused" ? "Paused" : "Disconnected"}. These figures are ${span(seconds)} old.` +
        (now === "paused" ? " Press p to go on." : " Trying again…");
    const text = ended || old;
    button.dataset.age = seconds;
    banner.hidden = !stale;
    document.documentElement.toggleAttribute("data-stale", stale);
    document.getElementById("banner-link").hidden = !ended;
    const line = document.getElementById("banner-text");
    if (stale && line.textContent !== text) line.textContent = text;
    const why = now === "polling" && crowded ? "crowded" : now;
    if (why === shown) return;
    shown = why;
    button.dataset.state = now;
    button.title = HINTS[why];
    document.getElementById("live-hint").textContent = HINTS[why];
    button.querySelector(".live-word").textContent = now === "live" && pace > 1 ? `Every ${pace} s` : WORDS[now];
    for (const one of paces) {
      one.setAttribute("aria-pressed", String(Number(one.dataset.pace) === (paused ? 0 : pace)));
    }
    // Said once for each change, never with each figure.
    if (now !== "connecting") announce.textContent = `Live figures: ${why === "crowded" ? HINTS[why] : WORDS[now]}`;
  }

  function release() {
    if (socket && open) stream["htmx-internal-data"]?.webSocket?.close();
  }

  function resume() {
    asked = performance.now();
    if (wanted() && !open && socket) socket.reconnect();
    poll();
    tell();
  }

  function poll() {
    polled = performance.now();
    for (const panel of document.querySelectorAll("[data-panel]")) htmx.trigger(panel, "poll");
  }

  function pause(wish) {
    paused = wish;
    if (paused) release();
    else resume();
    tell();
  }

  // How often: the socket itself is asked to send no more than that.
  function choose(seconds) {
    shown = "";
    if (!seconds) return pause(true);
    pace = seconds;
    try {
      localStorage.setItem("pace", String(pace));
    } catch {
      // Storage is blocked: the choice holds for this page.
    }
    if (open) socket.send(String(pace));
    return paused ? pause(false) : tell();
  }

  document.body.addEventListener("htmx:wsOpen", (event) => {
    socket = event.detail.socketWrapper;
    open = true;
    failed = false;
    if (!wanted()) release();
    else if (pace > 1) socket.send(String(pace));
    tell();
  });
  document.body.addEventListener("htmx:wsClose", (event) => {
    open = false;
    const code = event.detail.event.code;
    crowded = code === 4429;
    if (code === 4401) ended = "You are signed out.";
    if (code === 4403) ended = "You may not look at this any more.";
    // htmx tries again by itself after these; after any other end that nobody here has wished for, we do.
    if (![1006, 1011, 1012, 1013].includes(code)) {
      setTimeout(() => { if (wanted() && !open) socket?.reconnect(); }, crowded ? LATER : AGAIN);
    }
    // Whether it was only the socket is found out at once.
    if (wanted() && performance.now() - polled > AGAIN) poll();
    tell();
  });
  document.body.addEventListener("htmx:wsBeforeMessage", (event) => {
    if (paused) event.preventDefault();
  });
  document.body.addEventListener("htmx:wsAfterMessage", () => {
    const tick = document.getElementById("live-tick");
    const seconds = Number(tick?.value ?? 0);
    behind = tick?.hasAttribute("data-behind") ?? false;
    crowded = false;
    fresh = performance.now() - (seconds > 2 ? seconds * NORMAL : 0);
    tell();
  });
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status === 401) ended = "You are signed out.";
    if (paused && event.target.matches("[data-panel]")) event.detail.shouldSwap = false;
  });
  document.body.addEventListener("htmx:sendError", () => { failed = true; tell(); });
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful && !paused && event.target.matches("[data-panel]")) {
      fresh = performance.now();
      if (failed && !open && wanted()) socket?.reconnect();
      failed = false;
    }
    tell();
  });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hideTimer);
    if (document.hidden) hideTimer = setTimeout(release, HIDDEN);
    else if (!paused) resume();
  });
  for (const one of paces) {
    one.addEventListener("click", () => { choose(Number(one.dataset.pace)); one.closest("details").open = false; button.focus(); });
  }
  document.addEventListener("console:pause", () => pause(!paused));
  setInterval(() => {
    tell();
    const due = failed ? AGAIN : Math.max(POLL, pace * NORMAL);
    if (!open && wanted() && performance.now() - polled >= due) poll();
  }, NORMAL);
})();
