// @huggingface/inference, either version: every method for a task of texts or tables.
// Arguments: the server's URL, a token, two ids that are not used here, the version.

import * as library from "@huggingface/inference";

const [url, token, , , version] = process.argv.slice(2);
const isOld = version.startsWith("2.");
const found = { version };
const sentence = "My name is Anna and I am from Berlin.";
const rows = { length: ["1.0", "5.0"], width: ["5.0", "9.0"] };

async function note(name, task, model, more) {
  const endpoint = `${url}/models/tiny/${model}`;
  const client = isOld ? new library.HfInference(token).endpoint(endpoint) : new library.InferenceClient(token, { endpointUrl: endpoint });
  try {
    found[name] = await client[task]({ ...(isOld ? { model: `tiny/${model}` } : {}), ...more });
  } catch (error) {
    const answer = error.httpResponse ?? {};
    found[name] = { raised: error.constructor.name, message: error.message, status: answer.status ?? null };
  }
}

const labels = { candidate_labels: ["a city", "food"] };
await note("textClassification", "textClassification", "sentiment", { inputs: "I like it" });
await note("tokenClassification", "tokenClassification", "names", { inputs: sentence });
await note("questionAnswering", "questionAnswering", "questions", { inputs: { question: "Who?", context: sentence } });
await note("tableQuestionAnswering", "tableQuestionAnswering", "tables", {
  inputs: { query: "How many people?", table: { City: ["Paris", "Berlin"], People: ["100", "8"] } },
});
await note("zeroShotClassification", "zeroShotClassification", "nli", {
  inputs: isOld ? [sentence] : sentence,
  parameters: labels,
});
await note("fillMask", "fillMask", "masks", { inputs: "The quick [MASK] fox." });
await note("summarization", "summarization", "summary", { inputs: sentence, parameters: { max_length: 9 } });
await note("translation", "translation", "translation", { inputs: "The dog.", parameters: { src_lang: "en", tgt_lang: "fr" } });
await note("translationOfTwo", "translation", "translation", {
  inputs: ["The dog.", "A fox."],
  parameters: { src_lang: "en", tgt_lang: "fr" },
});
await note("tabularClassification", "tabularClassification", "classes", { inputs: { data: rows } });
await note("tabularRegression", "tabularRegression", "numbers", { inputs: { data: rows } });
await note("noMask", "fillMask", "masks", { inputs: "nothing is missing" });
await note("noLabels", "zeroShotClassification", "nli", { inputs: isOld ? [sentence] : sentence, parameters: { candidate_labels: [] } });
console.log(JSON.stringify(found));
