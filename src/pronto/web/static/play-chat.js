// A conversation: streamed, stopped, with a system prompt, tools and JSON where the model can.

import { ApiError, events } from "./api.js";
import { h, show } from "./dom.js";
import { PATIENT, base64, field, filePicker, pathOf, runner, settings, told } from "./play-kit.js";

// Text with fenced code, as elements: what a model writes is never HTML.
export function prose(text) {
  return text.split("```").map((part, at) => {
    if (at % 2 === 0) return part ? h("p", {}, part) : null;
    const [, code = part] = part.match(/^[\w+-]*\n([\s\S]*)$/) ?? [];
    return h("pre", {}, h("code", {}, code));
  });
}

export function chat(model) {
  const messages = [];
  const log = h("div", { class: "chat", role: "log", "aria-label": "Conversation", tabindex: "0" });
  const system = field("System prompt", { type: "area", rows: 2, placeholder: "You are a friendly helper." });
  const sees = model.task === "image-text-to-text";
  const picture = filePicker("image/*", (file) => h("p", { class: "small" }, file.name));
  const knobs = settings({
    temperature: field("Temperature", { type: "number", min: 0, max: 2, step: 0.1, hint: "0: always the likeliest" }),
    max_tokens: field("Most new tokens", { type: "number", min: 1, max: model.max_new_tokens, value: Math.min(512, model.max_new_tokens) }),
    top_p: field("Top p", { type: "number", min: 0.01, max: 1, step: 0.01 }),
    seed: field("Seed", { type: "number", min: 0, step: 1, hint: "The same again" }),
    json: field("Answer in JSON", { type: "check" }),
    tools: field("Tools", { type: "area", rows: 3, placeholder: '[{"type": "function", "function": {"name": "...", "parameters": {}}}]', hint: "A list as OpenAI writes it" }),
  });
  const words = field("Message", { type: "area", rows: 3, placeholder: "Write something. Enter sends, Shift+Enter makes a new line." });

  function body() {
    const { json, tools, ...rest } = knobs.values();
    const all = system.get() ? [{ role: "system", content: system.get() }, ...messages] : [...messages];
    const asked = { messages: all, ...rest };
    if (json) asked.response_format = { type: "json_object" };
    if (tools) {
      try { asked.tools = JSON.parse(tools); } catch { throw new ApiError(0, "The tools are no JSON list. Please look at the parameters.", "tools"); }
    }
    return asked;
  }

  function draw(growing = null) {
    const shown = messages.map(({ role, content, calls, facts, thought }) => h("div", { class: `said ${role}` },
      h("span", { class: "unseen" }, role === "user" ? "You: " : "Model: "),
      thought ? h("details", { class: "more" }, h("summary", {}, "Thoughts"), h("p", { class: "soft" }, thought)) : null,
      prose(typeof content === "string" ? content : content.filter((part) => part.text).map((part) => part.text).join("")),
      typeof content === "string" ? null : h("p", { class: "soft small" }, "(with a picture)"),
      (calls ?? []).map((call) => h("pre", {}, h("code", {}, `${call.name}(${call.arguments})`))),
      facts ? h("div", { class: "facts-line" }, facts) : null));
    show(log, shown.length || growing ? shown : h("p", { class: "empty" }, "Say something to begin."), growing);
    log.scrollTop = log.scrollHeight;
  }

  async function work({ signal, say }) {
    const text = words.get();
    if (text) {
      const file = sees && picture.get();
      messages.push({ role: "user", content: file
        ? [{ type: "text", text }, { type: "image_url", image_url: { url: `data:${file.type};base64,${await base64(file)}` } }]
        : text });
    }
    if (!messages.length || messages.at(-1).role !== "user") throw new ApiError(0, "Please write a message first.", "missing");
    const answer = { role: "assistant", content: "", calls: [], thought: "" };
    const sent = body();
    sent.messages = sent.messages.map(({ role, content }) => ({ role, content }));
    words.set("");
    const growing = h("div", { class: "said assistant" });
    draw(growing);
    const began = performance.now();
    let first = null, usage = null, last = 0;
    try {
      const asked = { ...sent, model: model.id, stream: true, stream_options: { include_usage: true } };
      for await (const { data, comment } of events(`${pathOf(model)}/v1/chat/completions`, { body: asked, signal, headers: PATIENT })) {
        if (comment) say(told(comment));
        if (!data) continue;
        usage = data.usage ?? usage;
        const delta = data.choices?.[0]?.delta ?? {};
        if (first === null && (delta.content || delta.reasoning_content || delta.tool_calls)) first = performance.now();
        answer.content += delta.content ?? "";
        answer.thought += delta.reasoning_content ?? "";
        for (const call of delta.tool_calls ?? []) {
          const known = (answer.calls[call.index] ??= { name: "", arguments: "" });
          known.name += call.function?.name ?? "";
          known.arguments += call.function?.arguments ?? "";
        }
        if (performance.now() - last > 40) { // often enough for the eye
          last = performance.now();
          show(growing, prose(answer.content || answer.thought));
          log.scrollTop = log.scrollHeight;
        }
      }
    } catch (error) {
      if (!answer.content && !signal.aborted) {
        messages.pop();
        if (text) words.set(text);
        draw();
        throw error;
      }
      if (!signal.aborted) { answer.facts = "The answer was cut."; keep(answer); throw error; }
    }
    const seconds = (performance.now() - began) / 1000;
    const tokens = usage?.completion_tokens;
    const speed = tokens > 1 && first ? (tokens - 1) / ((performance.now() - first) / 1000) : null;
    answer.facts = [
      signal.aborted ? "stopped" : null,
      tokens ? `${tokens} tokens` : null,
      speed ? `${speed.toFixed(1)} tokens/s` : null,
      first ? `first after ${Math.round(first - began)} ms` : null,
    ].filter(Boolean).join(" · ");
    keep(answer);
    say(`${seconds.toFixed(1)} s`);
  }

  function keep(answer) {
    if (answer.content || answer.calls.length || answer.thought) messages.push(answer);
    draw();
  }

  function recipe() {
    const { messages: all, ...rest } = body();
    const shown = all.map(({ role, content }) => ({ role, content }));
    if (words.get() || !shown.length) shown.push({ role: "user", content: words.get() ?? "Hello" });
    const python = { messages: shown, ...rest };
    const after = "print(answer.choices[0].message.content)";
    return {
      path: `${pathOf(model)}/v1/chat/completions`,
      body: { model: model.id, messages: shown, ...rest },
      hub: ["chat_completion", python, after],
      openai: ["chat.completions.create", python, after],
      js: ["chatCompletion", { model: model.id, messages: shown, ...rest }],
    };
  }

  const run = runner(model, { label: "Send", work, recipe });
  words.input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!run.isRunning && model.may_run) run.run();
  });
  const clear = h("button", { type: "button", class: "button quiet tiny", onclick: () => { messages.length = 0; draw(); } }, "New conversation");
  draw();
  return { title: "Chat", node: [system.node, log, words.node, sees ? picture.node : null, run.node, knobs.node, h("div", {}, clear)] };
}
