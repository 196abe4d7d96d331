// Text for a text: completion and infill as a stream, summaries and translations as a whole, and JSON for any other task.

import { ApiError, events, json } from "./api.js";
import { h, show } from "./dom.js";
import { PATIENT, field, output, pathOf, runner, settings, told } from "./play-kit.js";

function knobs(model) {
  return settings({
    max_new_tokens: field("Most new tokens", { type: "number", min: 1, max: model.max_new_tokens, value: Math.min(64, model.max_new_tokens) }),
    temperature: field("Temperature", { type: "number", min: 0, max: 2, step: 0.1 }),
    top_k: field("Top k", { type: "number", min: 1, step: 1 }),
    top_p: field("Top p", { type: "number", min: 0.01, max: 0.99, step: 0.01 }),
    repetition_penalty: field("Repetition penalty", { type: "number", min: 0.1, max: 3, step: 0.1 }),
    seed: field("Seed", { type: "number", min: 0, step: 1 }),
    stop: field("Stop at", { placeholder: "text that ends it" }),
  });
}

const parameters = (values) => ({ ...values, ...(values.stop ? { stop: [values.stop] } : {}) });

// Streams what is generated into `grow(text)`; says the speed at the end.
async function stream(model, body, { signal, say }, grow) {
  const began = performance.now();
  let first = null, tokens = 0, text = "";
  const asked = { ...body, parameters: { ...body.parameters, return_full_text: false }, stream: true };
  for await (const { data, comment } of events(pathOf(model), { body: asked, signal, headers: PATIENT })) {
    if (comment) say(told(comment));
    if (!data?.token) continue;
    first ??= performance.now();
    tokens += 1;
    if (!data.token.special) text += data.token.text;
    grow(text);
  }
  const seconds = (performance.now() - (first ?? began)) / 1000;
  say(`${tokens} tokens${tokens > 1 ? `, ${((tokens - 1) / seconds).toFixed(1)} tokens/s` : ""}${first ? `, first after ${Math.round(first - began)} ms` : ""}`);
}

export function completion(model) {
  const prompt = field("Text", { type: "area", rows: 7, class: "mono", value: model.infills ? "def fibonacci(n):\n    " : "Once upon a time" });
  const shown = h("div", { class: "output mono", "aria-live": "polite", "aria-label": "Text and how it goes on" });
  const set = knobs(model);
  const body = () => ({ inputs: prompt.get() ?? "", parameters: parameters(set.values()) });
  const run = runner(model, {
    label: "Continue",
    work: (way) => {
      const before = prompt.get() ?? "";
      const made = h("span", { class: "made" });
      show(shown, before, made);
      return stream(model, body(), way, (text) => { made.textContent = text; });
    },
    recipe: () => ({
      path: pathOf(model),
      body: body(),
      hub: ["text_generation", { _: body().inputs, ...body().parameters }],
      openai: ["completions.create", { prompt: body().inputs, max_tokens: body().parameters.max_new_tokens ?? 64 }, "print(answer.choices[0].text)"],
      js: ["textGeneration", { inputs: body().inputs, parameters: body().parameters }],
    }),
  });
  const take = h("button", { type: "button", class: "button quiet tiny", onclick: () => { if (shown.textContent) prompt.set(shown.textContent); } }, "Take the result as the text");
  return { title: "Completion", node: [prompt.node, run.node, shown, h("div", {}, take), set.node] };
}

export function infill(model) {
  const before = field("Before the gap", { type: "area", rows: 6, class: "mono", value: "def add(a, b):\n    " });
  const after = field("After the gap", { type: "area", rows: 6, class: "mono", value: "\n    return total\n" });
  const shown = h("div", { class: "output mono", "aria-live": "polite", "aria-label": "The whole text" });
  const set = knobs(model);
  const body = () => ({ inputs: before.input.value, parameters: { ...parameters(set.values()), suffix: after.input.value } });
  const run = runner(model, {
    label: "Fill in",
    work: (way) => {
      const made = h("span", { class: "made" });
      show(shown, before.input.value, made, after.input.value);
      return stream(model, body(), way, (text) => { made.textContent = text; });
    },
    recipe: () => ({
      path: pathOf(model),
      body: body(),
      openai: ["completions.create", { prompt: before.input.value, suffix: after.input.value, max_tokens: set.values().max_new_tokens ?? 64 }, "print(answer.choices[0].text)"],
    }),
  });
  return { title: "Infill", node: [h("div", { class: "two" }, before.node, after.node), run.node, shown, set.node] };
}

const METHODS = { summarization: ["summarization", "summary_text"], translation: ["translation", "translation_text"] };

export function rewriting(model) {
  const text = field("Text", { type: "area", rows: 7 });
  const translates = model.task === "translation";
  const languages = translates ? { src_lang: field("From", { placeholder: "en" }), tgt_lang: field("To", { placeholder: "fr" }) } : {};
  const set = settings({ ...languages, max_new_tokens: field("Most new tokens", { type: "number", min: 1, max: model.max_new_tokens }) });
  const shown = output();
  const body = () => ({ inputs: text.get() ?? "", parameters: set.values() });
  const [method, key] = METHODS[model.task] ?? ["text_generation", "generated_text"];
  const run = runner(model, {
    label: { summarization: "Summarise", translation: "Translate" }[model.task] ?? "Run",
    work: async ({ signal }) => {
      if (!text.get()) throw new ApiError(0, "Please write a text first.", "missing");
      const [answer] = await json(pathOf(model), { body: body(), signal, headers: PATIENT });
      show(shown, h("p", { class: "prose" }, answer[key] ?? Object.values(answer)[0]));
    },
    recipe: () => ({ path: pathOf(model), body: body(), hub: [method, { _: body().inputs }], js: [METHODS[model.task] ? method : "textGeneration", { inputs: body().inputs }] }),
  });
  return { title: { summarization: "Summary", translation: "Translation" }[model.task] ?? "Text to text", node: [text.node, translates ? h("div", { class: "settings-grid" }) : null, run.node, shown, set.node] };
}

// A task without a playground of its own: JSON in, JSON out.
export function plain(model) {
  const text = field("Request", { type: "area", rows: 8, class: "mono", value: '{"inputs": ""}' });
  const shown = h("pre", { class: "output", tabindex: "0" });
  const body = () => {
    try { return JSON.parse(text.get() ?? ""); } catch { throw new ApiError(0, "The request is no JSON.", "json"); }
  };
  const run = runner(model, {
    work: async ({ signal }) => { shown.textContent = JSON.stringify(await json(pathOf(model), { body: body(), signal, headers: PATIENT }), null, 2); },
    recipe: () => ({ path: pathOf(model), body: body() }),
  });
  return { title: "Try it", node: [text.node, run.node, shown] };
}
