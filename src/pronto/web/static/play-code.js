// The code that does what a playground does: curl, Python's InferenceClient and openai, JavaScript, with the shown values.
//
// A recipe has: path, body (JSON) or file (a name), accept, hub: [method, arguments], openai: [call, arguments], js: [method, arguments].
// Clients without a recipe of their own are left out.

import { h, show } from "./dom.js";

const TOKEN = "hf_...";

function python(value, indent = "") {
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null || value === undefined) return "None";
  if (Array.isArray(value)) return `[${value.map((one) => python(one, indent)).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${python(one, indent)}`).join(", ")}}`;
  return JSON.stringify(value);
}

function keywords(values) {
  return Object.entries(values).map(([name, value]) => (name.startsWith("_") ? `    ${python(value)},` : `    ${name}=${python(value)},`)).join("\n");
}

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(model, recipe) {
  const lines = [`curl ${model.address}${recipe.path}`, '-H "Authorization: Bearer $PRONTO_TOKEN"'];
  if (recipe.accept) lines.push(`-H "Accept: ${recipe.accept}"`);
  if (recipe.file) lines.push(`--data-binary @${recipe.file}`);
  else lines.push('-H "Content-Type: application/json"', `-d ${shell(JSON.stringify(recipe.body, null, 2))}`);
  if (recipe.save) lines.push(`-o ${recipe.save}`);
  return lines.join(" \\\n  ");
}

function hub(model, recipe) {
  const [method, values, after] = recipe.hub;
  return `from huggingface_hub import InferenceClient

client = InferenceClient(model="${model.address}/models/${model.id}", token="${TOKEN}")
answer = client.${method}(
${keywords(values)}
)
${after ?? "print(answer)"}`;
}

function openai(model, recipe) {
  const [call, values, after] = recipe.openai;
  return `from openai import OpenAI

client = OpenAI(base_url="${model.address}/v1", api_key="${TOKEN}")
answer = client.${call}(
    model="${model.id}",
${keywords(values)}
)
${after ?? "print(answer)"}`;
}

function script(model, recipe) {
  const [method, values] = recipe.js;
  const shown = JSON.stringify(values, null, 2).replace(/"@file (.*?)"/g, 'new Blob([await readFile("$1")])');
  const reads = shown.includes("readFile") ? 'import { readFile } from "node:fs/promises";\n' : "";
  return `${reads}import { InferenceClient } from "@huggingface/inference";

const client = new InferenceClient("${TOKEN}", { endpointUrl: "${model.address}/models/${model.id}" });
console.log(await client.${method}(${shown}));`;
}

const KINDS = [["curl", curl, () => true], ["InferenceClient", hub, (r) => r.hub], ["openai", openai, (r) => r.openai], ["JavaScript", script, (r) => r.js]];

export function codeButton(model, recipe) {
  const button = h("button", { type: "button", class: "button" }, "View code");
  button.addEventListener("click", async () => {
    const shown = await recipe();
    const text = h("code", { id: "code-text" });
    const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Client" });
    const kinds = KINDS.filter(([, , has]) => has(shown));
    const choose = (at) => {
      text.textContent = kinds[at][1](model, shown);
      [...tabs.children].forEach((tab, index) => {
        tab.setAttribute("aria-selected", String(index === at));
        tab.tabIndex = index === at ? 0 : -1;
      });
    };
    show(tabs, kinds.map(([name], at) => h("button", { type: "button", role: "tab", onclick: () => choose(at) }, name)));
    tabs.addEventListener("keydown", (event) => {
      const at = [...tabs.children].indexOf(document.activeElement);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1 }[event.key];
      if (to === undefined || !tabs.children[to]) return;
      choose(to);
      tabs.children[to].focus();
    });
    choose(0);
    const dialog = h("dialog", { "aria-label": "Code" },
      h("div", { class: "row apart" }, h("h2", {}, "The same in code"), h("button", { type: "button", class: "button quiet", onclick: () => dialog.close() }, "Close")),
      tabs,
      h("div", { class: "code" }, h("pre", { tabindex: "0" }, text), h("button", { type: "button", class: "button tiny", "data-copy": "code-text" }, h("span", { "data-label": "" }, "Copy"))),
      h("p", { class: "hint" }, "Put a token of yours in its place: ", h("a", { href: "/settings/tokens" }, "your tokens"), "."));
    dialog.addEventListener("close", () => { dialog.remove(); button.focus(); });
    document.body.append(dialog);
    dialog.showModal();
  });
  return button;
}
