"use strict";
// Runs before the first paint, so that a chosen theme never flashes the other one, nor what is
// meant for pages without scripts.
(() => {
  document.documentElement.dataset.scripted = "";
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is blocked: the system's theme it is.
  }
})();
