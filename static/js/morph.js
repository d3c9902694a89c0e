"use strict";
// The htmx extension "morph": turns a panel into its newer version in place. Only what differs is touched, so
// the focus, a selection, an open <details> and the place of a scroll bar stay where the reader left them. What the
// reader holds is left as it is, and brought up to date when it is let go.
(() => {
  const CALM = 3000; // what has changed as lately as this changes all the time: no use in showing it
  const KEPT = new Set(["open", "data-current"]); // set by the reader, not by the server
  const points = matchMedia("(hover: hover)");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const changed = new WeakMap();
  const waiting = new Map(); // what is held -> how to bring it up to date
  let held = false;

  const key = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.id : "");

  const alike = (old, fresh) =>
    old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && key(old) === key(fresh);

  const pointedAt = (box) => (points.matches && box.matches(":hover")) || box.contains(document.activeElement);

  function selected(text) {
    const selection = getSelection();
    return selection !== null && !selection.isCollapsed && selection.containsNode(text, true);
  }

  function show(box) {
    const now = performance.now();
    const last = changed.get(box) ?? -CALM;
    changed.set(box, now);
    if (still.matches || now - last < CALM || !(box instanceof HTMLElement)) return;
    const soft = getComputedStyle(box).getPropertyValue("--accent-soft");
    box.animate([{ backgroundColor: soft, offset: 0 }], { duration: 1000, easing: "ease-in" });
  }

  function attributes(old, fresh) {
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !KEPT.has(name)) old.removeAttribute(name);
    }
  }

  function text(old, fresh) {
    if (old.nodeValue === fresh.nodeValue) return;
    if (selected(old)) {
      held = true;
      return;
    }
    old.nodeValue = fresh.nodeValue;
    if (fresh.nodeValue.trim()) show(old.parentNode);
  }

  function node(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      text(old, fresh);
      return;
    }
    if (old.nodeName === "TIME") {
      // Its text is in the reader's own words; only another moment makes it anew.
      if (old.dateTime === fresh.dateTime && old.dataset.form === fresh.dataset.form) return;
      attributes(old, fresh);
      old.textContent = fresh.textContent;
      return;
    }
    attributes(old, fresh);
    children(old, fresh);
  }

  // A list whose rows may come, go and change places: while the reader points into it, only their texts change. In one
  // that is fixed, for it stands above other rows, always.
  function rows(old, fresh) {
    const newer = new Map([...fresh.children].filter(key).map((row) => [row.id, row]));
    for (const row of old.children) {
      if (newer.has(row.id)) node(row, newer.get(row.id));
      else row.setAttribute("data-gone", "");
    }
    const order = (list) => [...list.children].map(key).join(" ");
    if (!old.hasAttribute("data-fixed") && order(old) !== order(fresh)) held = true;
  }

  function children(old, fresh) {
    if (old.nodeType === Node.ELEMENT_NODE && (old.hasAttribute("data-fixed") || (old.hasAttribute("data-steady") && pointedAt(old)))) {
      rows(old, fresh);
      return;
    }
    const named = new Map();
    for (const child of old.children) if (child.id) named.set(child.id, child);
    let place = old.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      const known = key(wanted) && named.get(wanted.id);
      if (known && known !== place) {
        old.insertBefore(known, place);
        node(known, wanted);
      } else if (place && alike(place, wanted)) {
        node(place, wanted);
        place = place.nextSibling;
      } else {
        old.insertBefore(document.importNode(wanted, true), place);
      }
    }
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
  }

  // A row keeps its place in its list and whatever cells the page shows; those that have a name become newer.
  function cells(row, fresh) {
    row.toggleAttribute("data-gone", fresh.hasAttribute("data-gone"));
    for (const cell of fresh.querySelectorAll("[data-cell]")) {
      const old = row.querySelector(`[data-cell="${CSS.escape(cell.dataset.cell)}"]`);
      if (!old) continue;
      old.className = cell.className;
      children(old, cell);
    }
  }

  function update(target, how, fresh) {
    held = false;
    how(target, fresh);
    target.toggleAttribute("data-held", held);
    if (held) waiting.set(target, () => update(target, how, fresh));
    else waiting.delete(target);
  }

  function release() {
    if (!waiting.size) return;
    for (const [target, again] of [...waiting]) {
      if (target.isConnected) again();
      else waiting.delete(target);
    }
    document.dispatchEvent(new CustomEvent("console:changed"));
  }
  document.addEventListener("pointerover", release);
  document.addEventListener("focusin", release);
  document.addEventListener("selectionchange", release);

  htmx.defineExtension("morph", {
    isInlineSwap: (style) => style === "morph" || style === "cells",
    handleSwap: (style, target, fragment) => {
      if (style === "morph") {
        update(target, children, fragment.firstElementChild ?? fragment);
      } else if (style === "cells") {
        for (const fresh of fragment.querySelectorAll("tr[id]")) {
          const row = document.getElementById(fresh.id);
          if (row) update(row, cells, fresh);
        }
      } else {
        return false;
      }
      document.dispatchEvent(new CustomEvent("console:changed"));
      return [];
    },
  });
})();
