"use strict";
const job = document.getElementById("job");
const show = (id, text) => { document.getElementById(id).textContent = text; };
const isOpen = (status) => ["accepted", "running"].includes(status);
const span = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400
  ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`);
const words = (tiles) => [
  `${tiles.done} of ${tiles.total} tiles`,
  tiles.failed ? `${tiles.failed} failed` : "",
  tiles.rate ? `${Number(tiles.rate.toPrecision(2))} a second` : "",
  tiles.etaSeconds ? `about ${span(tiles.etaSeconds)} to go` : "",
].filter(Boolean).join(", ");
const asked = async (method, path) => {
  const answer = await fetch(job.dataset.job + path, { method, headers: { Accept: "application/json" } });
  const found = await answer.json();
  if (!answer.ok) {
    throw new Error(found.detail || found.title || `the server says ${answer.status}`);
  }
  return found;
};
const onClick = (id, act) => {
  const button = document.getElementById(id);
  if (button) {
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await act();
      } catch (error) {
        show("said", error instanceof TypeError ? "the server does not answer" : error.message);
        button.disabled = false;
      }
    });
  }
};
onClick("cancel", async () => {
  // To ask that of a job that has ended removes it with all that it made.
  if (isOpen((await asked("GET", "")).status)) {
    await asked("DELETE", "");
  }
  location.reload();
});
onClick("retry", async () => {
  const again = await asked("POST", "/retry");
  location.assign(`${job.dataset.job.replace(/[^/]+$/, encodeURIComponent(again.jobID))}?f=html`);
});
if (isOpen(job.dataset.status)) {
  const events = new EventSource(`${job.dataset.job}/events`);
  events.addEventListener("status", (event) => {
    const info = JSON.parse(event.data);
    show("status", info.status);
    document.getElementById("status").className = info.status;
    show("message", info.message || "");
    document.getElementById("progress").value = info.progress;
    if (info.tiles) {
      show("tiles", words(info.tiles));
    }
    if (!isOpen(info.status)) {
      events.close();
      location.reload();
    }
  });
}
