"use strict";
// The secret is in the address's fragment, which is never sent by itself: it goes into the form, and out of
// the address, before anybody looks over a shoulder.
(() => {
  const field = document.getElementById("token");
  if (!field) return;
  function take() {
    const token = location.hash.slice(1);
    if (!/^[0-9a-f]{64}$/.test(token)) return;
    field.value = token;
    document.getElementById("token-field").hidden = true;
    document.getElementById("enter").focus();
    history.replaceState(null, "", location.pathname);
  }
  take();
  // A link that is pasted into a window with this page changes only the fragment.
  addEventListener("hashchange", take);
})();
