"use strict";
const form = document.getElementById("form");
const say = (text) => { document.getElementById("message").textContent = text; };
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = document.getElementById("body").value;
  try {
    JSON.parse(body);
  } catch (error) {
    say(error.message);
    return;
  }
  try {
    const headers = { "Content-Type": "application/json", Prefer: "respond-async", Accept: "application/json" };
    const answer = await fetch(form.dataset.execution, { method: "POST", body, headers });
    const document_ = await answer.json();
    if (answer.status === 201) {
      location.assign(`${answer.headers.get("Location")}?f=html`);
    } else {
      say(document_.detail || document_.title || `the server says ${answer.status}`);
    }
  } catch (error) {
    say("the server does not answer");
  }
});
