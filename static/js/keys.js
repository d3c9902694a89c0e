"use strict";
// Keys of every page, and what is copied. Keys of the rows of a list are in lists.js. They can be turned off, and never
// act on what is typed.
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const root = document.documentElement;
  const dialog = $("#keys");
  const keysOff = () => root.dataset.keys === "off";

  // A word that leaves by itself ----------------------------------------------------------------------------
  function say(words) {
    const toast = document.createElement("p");
    toast.className = "toast is-info toast-said";
    toast.setAttribute("role", "status");
    toast.textContent = words;
    $(".toast-said")?.remove();
    document.body.append(toast);
    setTimeout(() => toast.remove(), 3000);
  }

  // Copying -------------------------------------------------------------------------------------------------
  async function copyText(text, done, otherwise = "The browser does not let it be copied: select it.") {
    try {
      await navigator.clipboard.writeText(text);
      say(done);
    } catch {
      say(otherwise);
    }
  }
  const copyLink = () =>
    copyText(location.href, "The link to this page is copied.", "The browser does not let the link be copied: take it from the address bar.");
  async function copyFrom(address) {
    try {
      const answer = await fetch(address);
      if (!answer.ok) throw new Error(answer.statusText);
      await navigator.clipboard.writeText(await answer.text());
      say("It is copied as it is stored.");
    } catch {
      say("It could not be copied: take the download.");
    }
  }
  document.addEventListener("click", (event) => {
    const copied = event.target.closest("[data-copy]");
    if (copied) copyFrom(copied.dataset.copy);
    const shown = event.target.closest("[data-copy-shown]");
    if (shown) copyText(shown.parentElement.querySelector("pre").textContent, "The command is copied.");
  });
  // A number that is shown in groups is copied as its digits; what was stored is copied as it is.
  document.addEventListener("copy", (event) => {
    const text = String(getSelection()).trim();
    const within = getSelection().anchorNode?.parentElement;
    if (!/^\d{1,3}(,\d{3})+$/.test(text) || within?.closest("pre, code, bdi, input, textarea")) return;
    event.clipboardData.setData("text/plain", text.replaceAll(",", ""));
    event.preventDefault();
  });

  // Keys ----------------------------------------------------------------------------------------------------
  let going = false;

  function openActions() {
    const place = $("[data-row][data-current] .actions, [data-row][data-current] .menu") ?? $("main [data-actions], main .page-head .action-bar, main .panel-batch-actions, main .action-bar");
    const menu = place?.matches("details") ? place : place && $("details", place);
    if (menu) menu.open = true;
    $(menu ? ".menu-body a, .menu-body button" : "a, button, summary", menu ?? place ?? document.createElement("p"))?.focus();
  }
  const KEYS = {
    "?": () => dialog.showModal(),
    t: () => $("#theme")?.click(),
    z: () => $("#zone")?.click(),
    p: () => document.dispatchEvent(new CustomEvent("console:pause")),
    "[": () => $("[data-previous], .pager [rel=prev]")?.click(),
    "]": () => $("[data-next], .pager [rel=next]")?.click(),
    "/": () => $("#search").focus(),
    f: () => $("[data-filter]")?.focus(),
    y: copyLink,
    ".": openActions,
    g: () => { going = true; setTimeout(() => { going = false; }, 1200); },
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || $("dialog[open]")) return;
    if ((event.ctrlKey || event.metaKey) && event.key === "k" && $("#search")) {
      event.preventDefault();
      $("#search").focus();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input:not([type=checkbox]), select, textarea, [contenteditable]")) return;
    if (keysOff() && event.key !== "?") return;
    if (going) {
      going = false;
      event.preventDefault();
      $(`[data-go~="${CSS.escape(event.key)}"]`)?.click();
      return;
    }
    const act = Object.hasOwn(KEYS, event.key) && KEYS[event.key];
    if (act && dialog) { event.preventDefault(); act(); }
  });

  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-keys-on]")) return;
    root.dataset.keys = event.target.checked ? "on" : "off";
    try {
      localStorage.setItem("keys", root.dataset.keys);
    } catch {
      // Storage is blocked: the choice holds for this page.
    }
    for (const box of all("[data-keys-on]")) box.checked = event.target.checked;
  });
  for (const box of all("[data-keys-on]")) { box.checked = !keysOff(); box.closest("[hidden]").hidden = false; }
})();
