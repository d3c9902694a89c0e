"use strict";
// The secret is in the address's fragment, which is never sent by itself: it goes into the form, and out of
// the address, before anybody looks over a shoulder.
(() => {
  const token = location.hash.slice(1);
  const field = document.getElementById("token");
  if (!field || !/^[0-9a-f]{64}$/.test(token)) return;
  field.value = token;
  document.getElementById("token-field").hidden = true;
  document.getElementById("enter").focus();
  history.replaceState(null, "", location.pathname);
})();
