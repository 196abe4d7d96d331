// @huggingface/inference, either version: images made, changed and refused.
// Arguments: the server's URL, a token, the id of the model, the version, a picture in base64.

import * as library from "@huggingface/inference";

const [url, token, model, , version, picture] = process.argv.slice(2);
const isOld = version.startsWith("2.");
const endpoint = `${url}/models/${model}`;
const client = isOld ? new library.HfInference(token).endpoint(endpoint) : new library.InferenceClient(token, { endpointUrl: endpoint });
const found = { version };

async function note(name, ask) {
  try {
    found[name] = await ask();
  } catch (error) {
    found[name] = { raised: error.constructor.name, message: error.message, status: error.httpResponse?.status ?? null };
  }
}

async function shown(blob) {
  const bytes = Buffer.from(await blob.arrayBuffer());
  return [blob.type, bytes.subarray(0, 4).toString("hex")];
}

const named = isOld ? { model } : {};
const inputs = new Blob([Buffer.from(picture, "base64")], { type: "image/png" });
const few = { num_inference_steps: 2, width: 64, height: 64, seed: 5 };
await note("plain", async () => shown(await client.textToImage({ ...named, inputs: "an astronaut", parameters: few })));
await note("changed", async () =>
  shown(await client.imageToImage({ ...named, inputs, parameters: { prompt: "a dog", num_inference_steps: 2, strength: 1 } })));
if (!isOld) {
  await note("dataUrl", async () => {
    const made = await client.textToImage({ inputs: "an astronaut", parameters: few }, { outputType: "dataUrl" });
    return made.slice(0, 23);
  });
}
await note("bad", () => client.textToImage({ ...named, inputs: "a cat", parameters: { width: 100 } }));
console.log("\n" + JSON.stringify(found));
