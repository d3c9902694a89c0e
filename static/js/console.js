"use strict";
// Everything a page can do without: times in the reader's zone, keys, selection, notices, the theme.
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Times -------------------------------------------------------------------------------------------------
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });

  function ago(moment) {
    const seconds = (Date.now() - moment) / 1000;
    const past = Math.abs(seconds);
    const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([each]) => past >= each) ?? [1, "s"];
    const text = `${Math.floor(past / size)} ${unit}`;
    if (past < 2) return "just now";
    return seconds >= 0 ? `${text} ago` : `in ${text}`;
  }

  function showTimes() {
    for (const time of all("time[data-form]")) {
      const moment = new Date(time.dateTime);
      const form = time.dataset.form;
      const text = form === "clock" ? clock.format(moment) : form === "full" ? full.format(moment) : ago(moment);
      if (time.textContent !== text) time.textContent = text;
      if (!time.title) time.title = `${full.format(moment)} · ${time.dateTime.replace(/\.\d+/, "").replace("T", " ").replace("Z", " UTC")}`;
    }
  }
  document.addEventListener("console:changed", () => { showTimes(); showNews(); });
  setInterval(showTimes, 1000);

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
  const theme = () => document.documentElement.dataset.theme ?? "system";

  function setTheme(name) {
    if (name === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    try {
      localStorage.setItem("theme", name);
    } catch {
      // Storage is blocked: the choice holds for this page.
    }
    nameTheme();
  }
  function nameTheme() {
    $("#theme-word").textContent = `Theme: ${theme()}`;
    themeButton.title = `Theme: ${theme()} (t)`;
  }
  const nextTheme = () => setTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);

  // Rows ----------------------------------------------------------------------------------------------------
  const rows = () => all("[data-list] [data-row]");
  const current = () => $("[data-list] [data-row][data-current]");

  function step(by) {
    const list = rows();
    if (!list.length) return;
    const old = current();
    const place = old ? list.indexOf(old) + by : by > 0 ? 0 : list.length - 1;
    const row = list[Math.max(0, Math.min(list.length - 1, place))];
    old?.removeAttribute("data-current");
    row.setAttribute("data-current", "");
    row.scrollIntoView({ block: "nearest" });
    $("[data-open]", row)?.focus({ preventScroll: true });
  }

  let lastPicked = null;
  const boxes = () => all('[data-row] input[name="job"]');

  function countSelected() {
    const word = $("#selected-count");
    if (!word) return;
    const picked = boxes().filter((box) => box.checked).length;
    word.textContent = picked ? `${picked} selected` : "Select rows";
    for (const button of all("[data-needs-selection]")) button.setAttribute("aria-disabled", String(!picked));
    const every = $("[data-select-all]");
    every.checked = picked > 0 && picked === boxes().length;
    every.indeterminate = picked > 0 && picked < boxes().length;
  }
  function pick(box, range) {
    const list = boxes();
    if (range && lastPicked && list.includes(lastPicked)) {
      const [from, to] = [list.indexOf(lastPicked), list.indexOf(box)].sort((a, b) => a - b);
      for (const between of list.slice(from, to + 1)) between.checked = box.checked;
    }
    lastPicked = box;
    countSelected();
  }

  // Keys ----------------------------------------------------------------------------------------------------
  const dialog = $("#keys");
  let going = false;
  const KEYS = {
    "?": () => dialog.showModal(),
    t: nextTheme,
    p: () => document.dispatchEvent(new CustomEvent("console:pause")),
    j: () => step(1),
    k: () => step(-1),
    x: () => {
      const box = current() && $('input[name="job"]', current());
      if (box) { box.checked = !box.checked; pick(box, false); }
    },
    "[": () => $("[data-previous]")?.click(),
    "]": () => $("[data-next]")?.click(),
    "/": () => $("[data-filter]")?.focus(),
    g: () => { going = true; setTimeout(() => { going = false; }, 1200); },
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input:not([type=checkbox]), select, textarea, [contenteditable]")) return;
    if (dialog?.open) return;
    if (going) {
      going = false;
      const link = $(`[data-go="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    const act = Object.hasOwn(KEYS, event.key) && KEYS[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("#help") && dialog) { event.preventDefault(); dialog.showModal(); }
    if (event.target === dialog) dialog.close();
    if (event.target.closest("#theme")) nextTheme();
    event.target.closest("[data-close]")?.closest("[data-toast]").remove();
    if (event.target.closest('[data-needs-selection][aria-disabled="true"]')) event.preventDefault();
    if (event.target.matches('[data-row] input[name="job"]')) pick(event.target, event.shiftKey);
    if (event.target.matches("[data-select-all]")) {
      for (const box of boxes()) box.checked = event.target.checked;
      countSelected();
    }
    const menu = $(".menu[open]");
    if (menu && !menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    const menu = $(".menu[open]");
    if (event.key === "Escape" && menu) { menu.open = false; $("summary", menu).focus(); }
  });

  // Start ---------------------------------------------------------------------------------------------------
  if (themeButton) { themeButton.hidden = false; nameTheme(); }
  for (const button of all("[data-close]")) button.hidden = false;
  for (const box of all("[data-select-all]")) box.hidden = false;
  // Good news leaves by itself; bad news waits to be read.
  for (const toast of all(".toast.is-success, .toast.is-info")) setTimeout(() => toast.remove(), $("[data-undo]", toast) ? 30000 : 8000);
  countSelected();
  showTimes();
  showNews();
})();
