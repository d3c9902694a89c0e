"use strict";
// Lists: moving along the rows, selecting them, what is done with them, and how they are shown.
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;

  // Rows ----------------------------------------------------------------------------------------------------
  const rows = () => all("[data-list] [data-row]");
  const current = () => $("[data-list] [data-row][data-current]");
  // A job's, or a batch's.
  const BOX = "[data-row] .check input";
  const boxOf = (row) => row && $(".check input", row);

  function goTo(row) {
    current()?.removeAttribute("data-current");
    row.setAttribute("data-current", "");
    row.scrollIntoView({ block: "nearest" });
    $("[data-open]", row)?.focus({ preventScroll: true });
  }
  function step(by) {
    const list = rows();
    if (!list.length) return;
    const old = current();
    const place = old ? list.indexOf(old) + by : by > 0 ? 0 : list.length - 1;
    goTo(list[Math.max(0, Math.min(list.length - 1, place))]);
  }

  // Selection -----------------------------------------------------------------------------------------------
  // A range goes from the row that was picked last; `everything` means what matches the filter, on all pages.
  const boxes = () => all(BOX);
  const everything = $("[data-everything]");
  let lastPicked = null;

  function countSelected() {
    const word = $("#selected-count");
    if (!word) return;
    const list = boxes();
    const whole = Boolean(everything?.checked);
    const picked = list.filter((box) => box.checked).length;
    const every = $("[data-select-all]");
    const filled = picked > 0 && picked === list.length;
    word.textContent = whole ? "Everything selected:" : picked ? `${picked} selected` : "Select rows";
    for (const button of all("[data-needs-selection]")) button.setAttribute("aria-disabled", String(!picked && !whole));
    every.checked = filled;
    every.indeterminate = picked > 0 && !filled;
    $("[data-why-not]")?.toggleAttribute("hidden", !filled);
  }
  function pick(box, checked, range) {
    const list = boxes();
    box.checked = checked;
    if (range && lastPicked && list.includes(lastPicked)) {
      const [from, to] = [list.indexOf(lastPicked), list.indexOf(box)].sort((a, b) => a - b);
      for (const between of list.slice(from, to + 1)) between.checked = checked;
    }
    lastPicked = box;
    countSelected();
  }
  function pickAll(checked) {
    for (const box of boxes()) box.checked = checked;
    lastPicked = null;
    countSelected();
  }
  function meanEverything(meant) {
    // Rows that are picked would be all that is meant: they are not sent along.
    for (const box of boxes()) {
      box.checked = meant;
      box.disabled = meant;
    }
    $("[data-select-all]").disabled = meant;
    countSelected();
  }

  // Deeds: they lead to the question, and never act by themselves -------------------------------------------
  function say(text) {
    const word = $("#selected-count");
    if (word) word.textContent = text;
    $("#announce").textContent = text;
  }
  // Of the page's own thing, where it is about one; a row or a selection comes first.
  const ofPage = (name) => all(`main [data-deed="${name}"]`).find((one) => !one.closest("[data-list], .list-bar"));
  function deed(name) {
    const picked = everything?.checked || boxes().some((box) => box.checked);
    const row = current();
    const own = !picked && !(row && boxOf(row)) && ofPage(name);
    if (own) return own.click();
    const place = picked ? $(".list-bar") : row;
    const button = place && $(`[data-deed="${name}"]`, place);
    if (button) button.click();
    else if (row && !picked && boxOf(row) && $(`.list-bar [data-deed="${name}"]`)) say("Select it with x first");
    else if (place) say(picked ? `Nothing here can be ${PAST[name]}` : `This one cannot be ${PAST[name]}`);
    else if (rows().length) say("Go to a row with j and k first");
  }
  const PAST = { retry: "retried", cancel: "cancelled", delete: "deleted", edit: "changed" };

  // How lists are shown -------------------------------------------------------------------------------------
  function keep(name, value) {
    try {
      if (value) localStorage.setItem(name, value);
      else localStorage.removeItem(name);
    } catch {
      // Storage is blocked: the choice holds for this page.
    }
  }
  function showDensity() {
    for (const word of all("[data-density-word]")) word.textContent = root.dataset.density ? "Comfortable" : "Compact";
  }
  function nextDensity() {
    if (root.dataset.density) delete root.dataset.density;
    else root.dataset.density = "comfortable";
    keep("density", root.dataset.density);
    showDensity();
  }
  const columns = () => all("[data-columns] input");
  function showColumns() {
    const without = (root.dataset.without ?? "").split(" ");
    for (const box of columns()) box.checked = !without.includes(box.value);
  }
  function chooseColumns() {
    root.dataset.without = columns().filter((box) => !box.checked).map((box) => box.value).join(" ");
    keep("without", root.dataset.without);
  }

  // Keys and clicks -----------------------------------------------------------------------------------------
  const pickCurrent = (range) => {
    const box = boxOf(current());
    if (box && !box.disabled) pick(box, range && lastPicked ? lastPicked.checked : !box.checked, range);
  };
  const KEYS = {
    j: () => step(1),
    k: () => step(-1),
    x: () => pickCurrent(false),
    X: () => pickCurrent(true),
    "*": () => { if (!everything?.checked) pickAll(!boxes().every((box) => box.checked)); },
    r: () => deed("retry"),
    c: () => deed("cancel"),
    d: () => deed("delete"),
    e: () => deed("edit"),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input:not([type=checkbox]), select, textarea, [contenteditable], dialog[open]")) return;
    if ($("dialog[open]") || root.dataset.keys === "off") return;
    if (event.key === "Enter" && event.target.matches(BOX)) {
      // Otherwise the first button of the form is meant.
      event.preventDefault();
      $("[data-open]", event.target.closest("[data-row]"))?.click();
      return;
    }
    const act = (rows().length || $("main [data-deed]")) && Object.hasOwn(KEYS, event.key) && KEYS[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  document.addEventListener("click", (event) => {
    const target = event.target;
    if (target.closest('[data-needs-selection][aria-disabled="true"]')) event.preventDefault();
    if (target.matches(BOX)) pick(target, target.checked, event.shiftKey);
    if (target.matches("[data-select-all]")) pickAll(target.checked);
    if (target.matches("[data-everything]")) meanEverything(target.checked);
    if (target.closest("[data-density-switch]")) nextDensity();
    if (target.matches("[data-columns] input")) chooseColumns();
    if (target.closest("[data-columns-reset]")) {
      for (const box of columns()) box.checked = true;
      chooseColumns();
    }
  });

  // Start ---------------------------------------------------------------------------------------------------
  for (const part of all("[data-select-all], [data-density-switch], [data-columns]")) part.hidden = false;
  const came = location.hash ? document.getElementById(location.hash.slice(1)) : null;
  if (came?.matches("[data-row]")) came.setAttribute("data-current", "");
  showDensity();
  showColumns();
  // What the browser has kept of a form it went back to counts as well.
  const begin = () => (everything?.checked ? meanEverything(true) : countSelected());
  begin();
  addEventListener("pageshow", begin);
})();
