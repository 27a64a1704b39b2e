// Swaps in the parts that the server has drawn anew. Without this script the page is the same, but stands still.
const state = document.getElementById("state");
const template = document.createElement("template");

function swap({ parts, places }) {
  for (const [id, html] of Object.entries(parts)) {
    template.innerHTML = html;
    const fresh = template.content.firstElementChild;
    const old = document.getElementById(id);
    if (old) old.replaceWith(fresh);
    else document.getElementById("main").append(fresh);
  }
  // Only when a part came or went: to move elements is to lose the reader's place.
  for (const [place, ids] of Object.entries(places ?? {})) {
    document.getElementById(place).replaceChildren(...ids.map((id) => document.getElementById(id)));
  }
}

const source = new EventSource("/events");
source.addEventListener("parts", ({ data }) => {
  swap(JSON.parse(data));
  state.textContent = "live";
  state.className = "live";
});
source.addEventListener("end", () => {
  source.close();
  state.textContent = "ended";
  state.className = "lost";
});
source.onerror = () => {
  state.textContent = "connection lost, trying again";
  state.className = "lost";
};
