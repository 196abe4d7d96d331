// What all playgrounds share: fields, the run button with its state, bars, files, and the code that does the same.

import { ApiError } from "./api.js";
import { h, show } from "./dom.js";
import { codeButton } from "./play-code.js";

let count = 0;

// A field with a label. `type`: text, area, number, range, select, check. `get()` is undefined where it was left empty.
export function field(label, { type = "text", value = "", hint = "", options = [], ...more } = {}) {
  const id = `f${++count}`;
  const common = { id, "aria-describedby": hint ? `${id}-hint` : null, ...more };
  let input;
  if (type === "area") input = h("textarea", { rows: 4, ...common });
  else if (type === "select") input = h("select", common, options.map((option) => h("option", { value: option }, option || "default")));
  else if (type === "check") input = h("input", { type: "checkbox", ...common, checked: value === true });
  else input = h("input", { type, ...common });
  if (type !== "check") input.value = value;
  const text = hint ? h("p", { class: "hint", id: `${id}-hint` }, hint) : null;
  const node = type === "check"
    ? h("label", { class: "choice" }, input, h("span", {}, label, text))
    : h("div", { class: "field" }, h("label", { for: id }, label), input, text);
  const get = () => {
    if (type === "check") return input.checked || undefined;
    if (input.value === "") return undefined;
    return type === "number" || type === "range" ? Number(input.value) : input.value;
  };
  return { node, input, get, set: (text) => { input.value = text; } };
}

// Fields behind a fold. `values()` has those that were set.
export function settings(fields, title = "Parameters") {
  const node = h("details", { class: "more" }, h("summary", {}, title),
    h("div", { class: "settings-grid" }, Object.values(fields).map((one) => one.node)));
  const values = () => Object.fromEntries(Object.entries(fields).map(([name, one]) => [name, one.get()]).filter(([, value]) => value !== undefined));
  return { node, values };
}

// The run button, which is a stop button meanwhile; what the server says while one waits; and failures in plain words.
// `work({signal, say})` does it. `recipe()` is what the code button shows: see play-code.js.
export function runner(model, { label = "Run", work, recipe }) {
  const status = h("span", { class: "status", role: "status" });
  const button = h("button", { type: "button", class: "button primary", disabled: !model.may_run }, label);
  const trouble = h("div", { class: "notice bad", role: "alert", hidden: true });
  let stop = null;
  const say = (...words) => show(status, words);

  async function run() {
    if (stop) { stop.abort(); return; }
    stop = new AbortController();
    trouble.hidden = true;
    button.textContent = "Stop";
    const began = performance.now();
    const clock = setInterval(() => { if (!status.dataset.kept) say(`${((performance.now() - began) / 1000).toFixed(1)} s`); }, 200);
    try {
      await work({ signal: stop.signal, say: (words) => { status.dataset.kept = "1"; say(words); } });
      if (!status.dataset.kept) say(`Done in ${((performance.now() - began) / 1000).toFixed(2)} s`);
    } catch (error) {
      if (stop.signal.aborted) say("Stopped.");
      else { say(); fail(error); }
    } finally {
      clearInterval(clock);
      delete status.dataset.kept;
      stop = null;
      button.textContent = label;
    }
  }

  function fail(error) {
    const parts = [h("p", {}, error instanceof ApiError ? error.message : `The connection broke: ${error.message}. Please try again.`)];
    if (error.status === 401) parts.push(h("p", {}, h("a", { href: `/login?next=${encodeURIComponent(location.pathname)}` }, "Sign in")));
    if (error.status === 403) parts.push(h("p", {}, h("a", { href: "/pricing" }, "See the plans")));
    if (error.status === 429 && error.facts?.retryAfter) parts.push(h("p", {}, `It opens again in ${error.facts.retryAfter} s. `, h("a", { href: "/settings/usage" }, "Your limits")));
    show(trouble, parts);
    trouble.hidden = false;
  }

  button.addEventListener("click", run);
  const node = h("div", {}, h("div", { class: "play-run" }, button, codeButton(model, recipe), status), trouble);
  return { node, run, say, get isRunning() { return stop !== null; } };
}

// Every call may have to wait for its model: it waits, and says so.
export const PATIENT = { "x-wait-for-model": "1" };

// A comment of the server, such as "waiting for a free place, position 3, about 4 s", with a capital.
export const told = (comment) => comment && comment[0].toUpperCase() + comment.slice(1);

// Labels with scores from 0 to 1, the largest first.
export function bars(rows) {
  if (!rows.length) return h("p", { class: "soft" }, "Nothing was found.");
  return h("div", { class: "bars" }, rows.map(({ label, score }) => [
    h("span", {}, label),
    h("meter", { min: 0, max: 1, value: Math.max(0, Math.min(1, score)), "aria-label": `${label}: ${score.toFixed(3)}` }),
    h("span", { class: "value" }, score.toFixed(3)),
  ]));
}

export const output = (...children) => h("div", { class: "output", "aria-live": "polite" }, children);

// A file by the dialog, by dropping it, or from the clipboard. `show(file)` gives what is shown of it.
export function filePicker(accept, preview, onPick = () => {}) {
  let chosen = null;
  const input = h("input", { type: "file", accept, id: `f${++count}` });
  const shown = h("div", {});
  const zone = h("div", { class: "drop" }, h("label", { for: input.id }, "Choose a file, or drop one here"), input);
  const take = (file) => {
    if (!file) return;
    chosen = file;
    show(shown, preview(file));
    onPick(file);
  };
  input.addEventListener("change", () => take(input.files[0]));
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => { event.preventDefault(); zone.classList.remove("over"); take(event.dataTransfer.files[0]); });
  return { node: h("div", { class: "stack" }, zone, shown), shown, take, get: () => chosen };
}

export function needed(file) {
  if (!file) throw new ApiError(0, "Please choose a file first.", "missing");
  return file;
}

export async function base64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

export const pathOf = (model) => `/models/${model.id}`;
