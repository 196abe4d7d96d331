// Trying an operation of the API where it is described. The form is made when its description is first opened.

import { account, call } from "./api.js";
import { $, $$, data, h, show } from "./dom.js";

const MOST = 20_000; // characters of an answer that are shown
const { model } = data("docs");
const EXAMPLES = [
  [/chat\/completions$/, { model, messages: [{ role: "user", content: "Hello" }], max_tokens: 20 }],
  [/\/completions$/, { model, prompt: "Hello", max_tokens: 20 }],
  [/\/responses$/, { model, input: "Hello", max_output_tokens: 20 }],
  [/\/messages/, { model, messages: [{ role: "user", content: "Hello" }], max_tokens: 20 }],
  [/embeddings$/, { model, input: "Hello" }],
  [/\/api\/chat$/, { model, messages: [{ role: "user", content: "Hello" }], stream: false }],
  [/\/api\/generate$/, { model, prompt: "Hello", stream: false }],
];

function example(path) {
  return JSON.stringify(EXAMPLES.find(([pattern]) => pattern.test(path))?.[1] ?? (path.startsWith("/api/") ? {} : { inputs: "Hello" }), null, 2);
}

function build(operation, place) {
  const { method, path } = operation.dataset;
  const names = place.dataset.names.split(" ").filter(Boolean);
  const inputs = Object.fromEntries(names.map((name) => [name, h("input", { id: `${operation.id}-${name}`, value: name === "id" && !path.startsWith("/api/") ? model : "" })]));
  const body = "body" in place.dataset ? h("textarea", { id: `${operation.id}-body`, rows: 6, class: "mono" }) : null;
  if (body) body.value = example(path);
  const status = h("span", { class: "soft", role: "status" });
  const answer = h("pre", { class: "output", tabindex: "0", hidden: true });
  const button = h("button", { class: "button primary" }, "Try it");
  const form = h("form", { class: "stack" },
    names.map((name) => h("div", { class: "field" }, h("label", { for: inputs[name].id }, name), inputs[name])),
    body ? h("div", { class: "field" }, h("label", { for: body.id }, "Body"), body) : null,
    h("div", { class: "row" }, button, status), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const target = path.replace(/\{(\w+)\}/g, (_, name) => inputs[name].value.split("/").map(encodeURIComponent).join("/"));
    button.disabled = true;
    const began = performance.now();
    try {
      const headers = { "x-wait-for-model": "1", "content-type": "application/json" };
      const response = await call(target, { method, headers, body: body?.value });
      status.textContent = `${response.status} in ${Math.round(performance.now() - began)} ms`;
      answer.textContent = readable(await response.text());
    } catch (error) {
      status.textContent = error.status ? String(error.status) : "No answer";
      answer.textContent = error.message;
    } finally {
      button.disabled = false;
      answer.hidden = false;
    }
  });
  show(place, account ? form : h("p", { class: "small" }, h("a", { href: "/login?next=/docs" }, "Sign in"), " to try it here."));
}

function readable(text) {
  let shown = text;
  try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* it is no JSON, and shown as it is */ }
  return shown.length > MOST ? `${shown.slice(0, MOST)}\n... and ${shown.length - MOST} characters more` : shown;
}

for (const operation of $$(".operation")) {
  operation.addEventListener("toggle", () => {
    const place = $(".try", operation);
    if (operation.open && !place.childElementCount) build(operation, place);
  });
}

// A link to an operation opens it.
const target = location.hash ? document.getElementById(location.hash.slice(1)) : null;
if (target?.matches("details")) target.open = true;
