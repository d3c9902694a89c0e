"use strict";
// The htmx extension "morph": turns a panel into its newer version in place. Only what differs is touched, so
// the focus, a selection, an open <details> and the place of a scroll bar stay where the reader left them.
(() => {
  const key = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.id : "");

  const alike = (old, fresh) =>
    old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && key(old) === key(fresh);

  function attributes(old, fresh) {
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      // What the reader has opened stays open.
      if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
  }

  function node(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
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

  function children(old, fresh) {
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

  htmx.defineExtension("morph", {
    isInlineSwap: (style) => style === "morph",
    handleSwap: (style, target, fragment) => {
      if (style !== "morph") return false;
      const fresh = fragment.firstElementChild ?? fragment;
      children(target, fresh);
      target.dispatchEvent(new CustomEvent("console:changed", { bubbles: true }));
      return [];
    },
  });
})();
