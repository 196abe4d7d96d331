// The states of models as they change: cards and the head of a model's page. On the list, the search without a new page.

import { $, $$, h, show } from "./dom.js";
import { json } from "./api.js";

const EVERY = 3000; // milliseconds between looks, while the page is seen
const NAMES = { loaded: ["good", "Ready"], loading: ["info", "Loading"], failed: ["bad", "Failed"], pulled: ["", "On disk"], exported: ["", "On disk"] };

function tag(model) {
  const [kind, name] = NAMES[model.state] ?? ["", "Not here yet"];
  const share = model.state === "loading" && model.progress !== null ? ` ${Math.round(model.progress * 100)} %` : "";
  const left = model.state === "loading" && model.estimated_time ? `, about ${Math.max(1, Math.round(model.estimated_time))} s` : "";
  return h("span", { class: `tag dot ${kind}`, title: model.reason ?? "" }, name + share + left);
}

async function look() {
  const places = new Map($$("[data-model]").map((node) => [node.dataset.model, $("[data-state]", node)]));
  if (document.hidden || !places.size) return;
  for (const model of await json("/models")) {
    const place = places.get(model.id);
    if (place) show(place, tag(model));
  }
}

setInterval(() => look().catch(() => { /* the next look may be luckier */ }), EVERY);

const filters = $("#filters");
if (filters) {
  const narrow = () => {
    const words = filters.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const card of $$("#cards > [data-model]")) {
      const fits = words.every((word) => card.dataset.words.includes(word))
        && (!filters.task.value || card.dataset.task === filters.task.value)
        && (!filters.plan.value || card.dataset.plan === filters.plan.value);
      card.hidden = !fits;
      shown += fits;
    }
    const all = $$("#cards > [data-model]").length;
    $("#found").textContent = `${shown} of ${all} models`;
    $("#none").hidden = shown > 0;
  };
  // A page that was narrowed by the server has not all cards: then a form is a form.
  if (!new URLSearchParams(location.search).size) {
    filters.addEventListener("input", narrow);
    filters.addEventListener("submit", (event) => { event.preventDefault(); narrow(); });
  }
}
