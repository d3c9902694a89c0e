"use strict";
// In the admin's form of a periodic task: what the chosen crontab means, in words, below its field.
(() => {
  const data = document.getElementById("readable-crontabs");
  const field = document.getElementById("id_crontab");
  const help = document.querySelector(".field-crontab .help");
  if (!data || !field || !help) return;
  const words = JSON.parse(data.textContent);
  const line = document.createElement("div");
  help.append(line);
  const tell = () => { line.textContent = words[field.value] ?? ""; };
  document.querySelector(".field-crontab_translation")?.setAttribute("hidden", "");
  field.addEventListener("change", tell);
  tell();
})();
