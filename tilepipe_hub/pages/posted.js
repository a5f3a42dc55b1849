"use strict";
for (const link of document.querySelectorAll("a[data-posted]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const here = document.querySelector("#form textarea, #retry");
    if (here) {
      here.focus();
    } else {
      location.assign(`${link.href.replace(/\/[^/]*$/, "")}?f=html`);
    }
  });
}
