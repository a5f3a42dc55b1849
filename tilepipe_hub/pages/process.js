"use strict";
const form = document.getElementById("form");
const say = (text) => { document.getElementById("message").textContent = text; };
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
// An href or a value that says nothing is what a link or an object is before anybody fills it in.
const isEmpty = (value) => value === null || value === ""
  || (isObject(value) && ["href", "value"].some((key) => key in value && isEmpty(value[key])));
const filled = (request) => {
  if (isObject(request) && isObject(request.inputs)) {
    for (const name of JSON.parse(form.dataset.optional)) {
      if (name in request.inputs && isEmpty(request.inputs[name])) {
        delete request.inputs[name];
      }
    }
  }
  return JSON.stringify(request);
};
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  let body;
  try {
    body = filled(JSON.parse(document.getElementById("body").value));
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
