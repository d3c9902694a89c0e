"use strict";
// Everything a page can do without: times in the reader's zone, counts, notices, the theme.
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  const root = document.documentElement;

  // Choices are kept by the browser; theme.js reads them before the first paint.
  function keep(name, value) {
    try {
      localStorage.setItem(name, value);
    } catch {
      // Storage is blocked: the choice holds for this page.
    }
  }

  // Times -------------------------------------------------------------------------------------------------
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
  const inUtc = () => root.dataset.zone === "utc";
  const utc = (iso, form) => `${form === "clock" ? iso.slice(11, 16) : iso.slice(0, 19).replace("T", " ")} UTC`;
  const local = (iso, form) => (form === "clock" ? clock : full).format(new Date(iso));
  const at = (iso, form) => (inUtc() ? utc : local)(iso, form);

  function ago(moment) {
    const seconds = (Date.now() - moment) / 1000;
    const past = Math.abs(seconds);
    const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([each]) => past >= each) ?? [1, "s"];
    // What is to come is not told to be sooner than it is.
    const text = `${(seconds >= 0 ? Math.floor : Math.ceil)(past / size)} ${unit}`;
    if (past < 2) return "just now";
    return seconds >= 0 ? `${text} ago` : `in ${text}`;
  }

  // The two largest units: 1 h 04 min.
  function span(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const units = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
    const found = units.find(([size]) => whole >= size);
    if (!found) return `${whole} s`;
    const [size, large, small, word] = found;
    return `${Math.floor(whole / size)} ${large} ${String(Math.floor((whole % size) / small)).padStart(2, "0")} ${word}`;
  }

  function showTimes() {
    for (const time of all("time[data-form]")) {
      const form = time.dataset.form;
      const moment = new Date(time.dateTime);
      const text = form === "elapsed" ? span((Date.now() - moment) / 1000) : form === "ago" ? ago(moment) : at(time.dateTime, form);
      if (time.textContent !== text) time.textContent = text;
      if (!time.title) time.title = `${local(time.dateTime, "full")} here · ${utc(time.dateTime, "full")}`;
    }
  }
  // Of the intervals of a drawing; a time that is written has no ": " within.
  function showIntervals() {
    for (const title of all("title[data-at]")) {
      const [, ...rest] = title.textContent.split(": ");
      title.textContent = [at(title.dataset.at, title.dataset.form), ...rest].join(": ");
    }
  }

  const zoneButton = $("#zone");
  function nextZone() {
    if (inUtc()) delete root.dataset.zone;
    else root.dataset.zone = "utc";
    keep("zone", root.dataset.zone ?? "local");
    nameZone();
    showTimes();
    showIntervals();
  }
  function nameZone() {
    const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
    $("#zone-word").textContent = inUtc() ? "UTC" : "Local";
    zoneButton.title = inUtc() ? `Times in UTC; choose for those of ${here} (z)` : `Times of ${here}; choose for UTC (z)`;
  }

  document.addEventListener("console:changed", () => { showTimes(); showIntervals(); showNews(); showCounts(); });
  setInterval(() => { showTimes(); showAges(); }, 1000);

  // Counts in the rail: pushed with the frame, or fetched where a page has no stream ----------------------------
  const OLD = 10; // seconds from which on the age of a count is told
  const SELDOM = 15000;
  let fetched = performance.now();

  function showCounts() {
    fetched = performance.now();
    for (const count of all("[data-count-of]")) {
      const place = $(`[data-count="${count.dataset.countOf}"]`);
      if (!place) continue;
      if (place.textContent !== count.value) place.textContent = count.value;
      place.dataset.words = count.value && count.dataset.words;
    }
    showAges();
  }
  function showAges() {
    const stream = $("#live-state");
    const seconds = Math.round(stream ? Number(stream.dataset.age ?? 0) : (performance.now() - fetched) / 1000);
    for (const place of all("[data-count]")) {
      const words = place.dataset.words ?? place.title;
      place.dataset.words = words;
      const title = words && seconds > OLD ? `${words}, ${seconds} s ago` : words;
      if (place.title !== title) place.title = title;
    }
  }
  if (!$("#live") && $("#panel-frame")) {
    const fetchFrame = () => { if (!document.hidden) htmx.trigger("#panel-frame", "poll"); };
    if ($(".health.is-unknown")) addEventListener("load", fetchFrame);
    setInterval(fetchFrame, SELDOM);
  }

  // Lists do not move: they tell how much is newer ----------------------------------------------------------
  function showNews() {
    const list = $("[data-top]");
    const keys = $("[data-news] [data-keys]");
    const place = $("[data-news]");
    if (!keys) return;
    const top = list ? list.dataset.top : "";
    const newer = keys.value.split(" ").filter((key) => key && key > top).length;
    let link = $("#news");
    if (!newer) return link?.remove();
    if (!link) {
      link = document.createElement("p");
      link.id = "news";
      link.className = "news";
      link.append(document.createElement("a"));
      place.after(link);
    }
    link.firstChild.href = location.pathname + location.search;
    link.firstChild.textContent = `${newer >= 100 ? "100+" : newer} new · show`;
  }

  // Theme ---------------------------------------------------------------------------------------------------
  const THEMES = ["system", "light", "dark"];
  const themeButton = $("#theme");
  const theme = () => root.dataset.theme ?? "system";

  function setTheme(name) {
    if (name === "system") delete root.dataset.theme;
    else root.dataset.theme = name;
    keep("theme", name);
    nameTheme();
  }
  function nameTheme() {
    $("#theme-word").textContent = `Theme: ${theme()}`;
    themeButton.title = `Theme: ${theme()} (t)`;
  }
  const nextTheme = () => setTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);

  // Without scripts the link asks for the page with the field filled.
  function fill(event, { fill: name, value }) {
    const field = $(`input[name="${CSS.escape(name)}"]`);
    if (!field || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    field.value = value;
    field.focus();
  }

  const dialog = $("#keys");
  document.addEventListener("click", (event) => {
    if (event.target.closest("#help") && dialog) { event.preventDefault(); dialog.showModal(); }
    if (event.target === dialog) dialog.close();
    if (event.target.closest("#theme")) nextTheme();
    if (event.target.closest("#zone")) nextZone();
    // A link within a live panel knows nothing of the page: what it asks leads back here, also to this place in a list.
    const asks = event.target.closest("a[data-back]");
    if (asks) {
      const to = new URL(asks.href);
      to.searchParams.set("next", location.pathname + location.search);
      asks.href = to;
    }
    event.target.closest("[data-close]")?.closest("[data-toast]").remove();
    const filling = event.target.closest("a[data-fill]");
    if (filling) fill(event, filling.dataset);
    for (const menu of all(".menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = $(".menu[open]");
    if (menu) { menu.open = false; $("summary", menu).focus(); }
    else if (event.target.matches("#search, [data-filter]")) event.target.blur();
  });

  // A question is answered once ------------------------------------------------------------------------------
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post" || event.defaultPrevented) return;
    if ("sent" in event.target.dataset) event.preventDefault();
    event.target.dataset.sent = "";
  });
  addEventListener("pageshow", () => { for (const form of all("form[data-sent]")) delete form.dataset.sent; });

  // Start ---------------------------------------------------------------------------------------------------
  if (themeButton) { themeButton.hidden = false; nameTheme(); }
  if (zoneButton) { zoneButton.hidden = false; nameZone(); }
  for (const button of all("[data-close]")) button.hidden = false;
  // Good news leaves by itself; bad news waits to be read.
  for (const toast of all(".toast.is-success, .toast.is-info")) setTimeout(() => toast.remove(), $("[data-undo]", toast) ? 30000 : 8000);
  // Where the pages or the tabs need more room than there is, the one that is open is in sight.
  for (const here of all(".rail [aria-current], .tabs [aria-current]")) {
    const row = here.parentElement;
    row.scrollLeft = here.offsetLeft - row.offsetLeft - (row.clientWidth - here.offsetWidth) / 2;
  }
  showTimes();
  showIntervals();
  showNews();
})();
