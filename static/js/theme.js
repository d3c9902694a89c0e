"use strict";
// Runs before the first paint, so that a chosen theme never flashes the other one, nor what is
// meant for pages without scripts, nor rows, columns and times that were chosen otherwise.
(() => {
  document.documentElement.dataset.scripted = "";
  try {
    const theme = localStorage.getItem("theme");
    const chosen = document.documentElement.dataset;
    if (localStorage.getItem("density") === "comfortable") chosen.density = "comfortable";
    chosen.without = localStorage.getItem("without") ?? "";
    if (localStorage.getItem("zone") === "utc") chosen.zone = "utc";
    if (localStorage.getItem("keys") === "off") chosen.keys = "off";
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is blocked: the system's theme it is.
  }
})();
