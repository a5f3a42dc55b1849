"use strict";
const job = document.getElementById("job");
const show = (id, text) => { document.getElementById(id).textContent = text; };
if (["accepted", "running"].includes(job.dataset.status)) {
  const events = new EventSource(job.dataset.events);
  events.addEventListener("status", (event) => {
    const info = JSON.parse(event.data);
    show("status", info.status);
    document.getElementById("status").className = info.status;
    show("message", info.message || "");
    document.getElementById("progress").value = info.progress;
    const tiles = info.tiles;
    if (tiles && tiles.total) {
      const eta = tiles.etaSeconds ? `, about ${Math.round(tiles.etaSeconds)} s to go` : "";
      show("tiles", `${tiles.done} of ${tiles.total} tiles${tiles.failed ? `, ${tiles.failed} failed` : ""}${eta}`);
    }
    if (!["accepted", "running"].includes(info.status)) {
      events.close();
      location.reload();
    }
  });
}
