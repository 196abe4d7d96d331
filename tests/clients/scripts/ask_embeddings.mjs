// @huggingface/inference, either version: vectors and similarities.
// Arguments: the server's URL, a token, two ids of models that are not asked here, the version.

import * as library from "@huggingface/inference";

const [url, token, , , version] = process.argv.slice(2);
const isOld = version.startsWith("2.");
const model = "sentence-transformers/all-MiniLM-L6-v2";
const endpoint = `${url}/models/${model}`;
const client = isOld ? new library.HfInference(token).endpoint(endpoint) : new library.InferenceClient(token, { endpointUrl: endpoint });
const named = isOld ? { model } : {};
const found = { version };

async function note(name, ask) {
  try {
    found[name] = await ask();
  } catch (error) {
    const answer = error.httpResponse ?? {};
    found[name] = { raised: error.constructor.name, message: error.message, status: answer.status ?? null };
  }
}

await note("vector", async () => {
  const vector = await client.featureExtraction({ ...named, inputs: "hello" });
  return [vector.length, vector.slice(0, 4)];
});
await note("several", async () => {
  const vectors = await client.featureExtraction({ ...named, inputs: ["hello", "bye"] });
  return [vectors.length, vectors[0].length, vectors[0].slice(0, 4)];
});
await note("similarity", () =>
  client.sentenceSimilarity({
    ...named,
    inputs: {
      source_sentence: "That is a happy person",
      sentences: ["That is a happy dog", "That is a very happy person", "Today is a sunny day"],
    },
  }),
);
await note("bad", () => client.featureExtraction({ ...named, inputs: [] }));
console.log(JSON.stringify(found));
