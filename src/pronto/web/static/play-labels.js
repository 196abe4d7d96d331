// Questions to text models whose answers are labels, places and numbers: bars, marks, tables.

import { ApiError, json } from "./api.js";
import { h, show } from "./dom.js";
import { PATIENT, bars, field, output, pathOf, runner } from "./play-kit.js";

const lines = (text) => (text ?? "").split("\n").map((line) => line.trim()).filter(Boolean);

// One playground: its fields, what is asked, and how the answer is shown.
function board(model, { title, fields, body, path = pathOf(model), draw, hub, js, label = "Run" }) {
  const shown = output(h("p", { class: "soft" }, "The answer will be here."));
  const run = runner(model, {
    label,
    work: async ({ signal }) => show(shown, draw(await json(path, { body: body(), signal, headers: PATIENT }))),
    recipe: () => ({ path, body: body(), hub: hub?.(), js: js?.() }),
  });
  return { title, node: [fields.map((one) => one.node), run.node, shown] };
}

function need(value, words) {
  if (!value || value.length === 0) throw new ApiError(0, words, "missing");
  return value;
}

export function classification(model) {
  const text = field("Text", { type: "area", value: "I like it very much." });
  const inputs = () => need(text.get(), "Please write a text first.");
  return board(model, {
    title: "Classification", label: "Classify", fields: [text],
    body: () => ({ inputs: inputs() }),
    draw: (answer) => bars(Array.isArray(answer[0]) ? answer[0] : answer),
    hub: () => ["text_classification", { _: inputs() }],
    js: () => ["textClassification", { inputs: inputs() }],
  });
}

export function zeroShot(model) {
  const text = field("Text", { type: "area", value: "The new phone has a bright screen and a weak battery." });
  const labels = field("Labels", { value: "technology, sport, politics", hint: "With commas between them" });
  const several = field("More than one may be right", { type: "check" });
  const names = () => need((labels.get() ?? "").split(",").map((one) => one.trim()).filter(Boolean), "Please name some labels.");
  const parameters = () => ({ candidate_labels: names(), multi_label: several.get() ?? false });
  return board(model, {
    title: "Zero-shot classification", label: "Classify", fields: [text, labels, several],
    body: () => ({ inputs: text.get() ?? "", parameters: parameters() }),
    draw: (answer) => bars(Array.isArray(answer) ? answer : answer.labels.map((label, at) => ({ label, score: answer.scores[at] }))),
    hub: () => ["zero_shot_classification", { _: text.get() ?? "", candidate_labels: names(), multi_label: several.get() ?? false }],
    js: () => ["zeroShotClassification", { inputs: text.get() ?? "", parameters: parameters() }],
  });
}

// The text with its marked places; `spans` of {start, end, name}.
function marked(text, spans) {
  const characters = [...text];
  const parts = [];
  let at = 0;
  for (const { start, end, name } of [...spans].sort((a, b) => a.start - b.start)) {
    if (start < at) continue;
    parts.push(characters.slice(at, start).join(""), h("mark", {}, characters.slice(start, end).join(""), name ? h("small", {}, name) : null));
    at = end;
  }
  return h("p", { class: "prose" }, parts, characters.slice(at).join(""));
}

export function entities(model) {
  const text = field("Text", { type: "area", value: "My name is Sarah and I live in London." });
  return board(model, {
    title: "Entities", label: "Find them", fields: [text],
    body: () => ({ inputs: text.get() ?? "" }),
    draw: (answer) => [
      marked(text.get() ?? "", answer.map(({ start, end, entity_group: group, entity }) => ({ start, end, name: group ?? entity }))),
      answer.length ? null : h("p", { class: "soft" }, "Nothing was found."),
    ],
    hub: () => ["token_classification", { _: text.get() ?? "" }],
    js: () => ["tokenClassification", { inputs: text.get() ?? "" }],
  });
}

export function masks(model) {
  const text = field("Text with a mask", { type: "area", value: "The capital of France is [MASK].", hint: "The mask is [MASK] or <mask>, as the model has it" });
  return board(model, {
    title: "Fill the mask", label: "Fill in", fields: [text],
    body: () => ({ inputs: text.get() ?? "" }),
    draw: (answer) => bars((Array.isArray(answer[0]) ? answer[0] : answer).map(({ token_str: token, score }) => ({ label: token, score }))),
    hub: () => ["fill_mask", { _: text.get() ?? "" }],
    js: () => ["fillMask", { inputs: text.get() ?? "" }],
  });
}

export function question(model) {
  const context = field("Text", { type: "area", rows: 6, value: "The Eiffel Tower was finished in 1889. It stands in Paris." });
  const asked = field("Question", { value: "When was the tower finished?" });
  const inputs = () => ({ question: need(asked.get(), "Please ask something."), context: need(context.get(), "Please give a text in which the answer is.") });
  return board(model, {
    title: "Question answering", label: "Answer", fields: [context, asked],
    body: () => ({ inputs: inputs() }),
    draw: (found) => {
      const answer = Array.isArray(found) ? found[0] : found;
      return [
        h("p", {}, h("b", {}, answer.answer || "No answer"), h("span", { class: "soft" }, ` (${answer.score.toFixed(3)})`)),
        marked(context.get() ?? "", answer.end > answer.start ? [{ start: answer.start, end: answer.end }] : []),
      ];
    },
    hub: () => ["question_answering", inputs()],
    js: () => ["questionAnswering", { inputs: inputs() }],
  });
}

export function table(model) {
  const rows = field("Table", { type: "area", rows: 6, class: "mono", value: "City,People\nParis,2100000\nLondon,8900000", hint: "Values with commas between them, the names of the columns first" });
  const asked = field("Question", { value: "How many people live in Paris?" });
  const grid = () => lines(rows.get()).map((line) => line.split(",").map((cell) => cell.trim()));
  const columns = () => {
    const [head = [], ...rest] = grid();
    return Object.fromEntries(head.map((name, at) => [name, rest.map((row) => row[at] ?? "")]));
  };
  const inputs = () => ({ query: need(asked.get(), "Please ask something."), table: columns() });
  return board(model, {
    title: "Questions to a table", label: "Answer", fields: [rows, asked],
    body: () => ({ inputs: inputs() }),
    draw: (answer) => {
      const [head = [], ...rest] = grid();
      const chosen = new Set((answer.coordinates ?? []).map(([row, column]) => `${row}/${column}`));
      return [
        h("p", {}, h("b", {}, answer.answer)),
        h("div", { class: "table" }, h("table", {},
          h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", {}, rest.map((row, at) => h("tr", {}, row.map((cell, column) => h("td", {}, chosen.has(`${at}/${column}`) ? h("mark", {}, cell) : cell))))))),
      ];
    },
    hub: () => ["table_question_answering", { query: asked.get() ?? "", table: columns() }],
    js: () => ["tableQuestionAnswering", { inputs: inputs() }],
  });
}

export function similarity(model) {
  const source = field("Sentence", { value: "How do I bake bread?" });
  const others = field("Compare with", { type: "area", rows: 5, value: "A recipe for a loaf\nThe weather in Rome\nFlour, water, salt and yeast", hint: "One sentence on each line" });
  const inputs = () => ({ source_sentence: need(source.get(), "Please write a sentence."), sentences: need(lines(others.get()), "Please write sentences to compare with, one on each line.") });
  return board(model, {
    title: "Similarity", label: "Compare", fields: [source, others], path: `${pathOf(model)}/pipeline/sentence-similarity`,
    body: () => ({ inputs: inputs() }),
    draw: (scores) => bars(scores.map((score, at) => ({ label: lines(others.get())[at], score })).sort((a, b) => b.score - a.score)),
    hub: () => ["sentence_similarity", { sentence: inputs().source_sentence, other_sentences: inputs().sentences }],
    js: () => ["sentenceSimilarity", { inputs: inputs() }],
  });
}

export function ranking(model) {
  const query = field("Question", { value: "How do I bake bread?" });
  const texts = field("Texts", { type: "area", rows: 5, value: "A recipe for a loaf\nThe weather in Rome", hint: "One on each line" });
  return board(model, {
    title: "Ranking", label: "Rank", fields: [query, texts], path: `${pathOf(model)}/rerank`,
    body: () => ({ query: need(query.get(), "Please ask something."), texts: need(lines(texts.get()), "Please write texts, one on each line.") }),
    draw: (rows) => bars(rows.map(({ index, score }) => ({ label: lines(texts.get())[index], score }))),
  });
}
