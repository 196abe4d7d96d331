// @huggingface/inference, either version: speech made, heard, labelled and said in another voice.
// Arguments: the server's URL, a token, models that speak, hear, label and convert, the version, the path of a recording.

import { readFile } from "node:fs/promises";

import * as library from "@huggingface/inference";

const [url, token, speaker, listener, labeller, converter, version, path] = process.argv.slice(2);
const isOld = version.startsWith("2.");
const data = new Blob([await readFile(path)], { type: "audio/flac" });
const found = { version };

function client(model) {
  const endpointUrl = `${url}/models/${model}`;
  return isOld ? new library.HfInference(token).endpoint(endpointUrl) : new library.InferenceClient(token, { endpointUrl });
}

function named(model) {
  return isOld ? { model } : {};
}

async function note(name, ask) {
  try {
    found[name] = await ask();
  } catch (error) {
    found[name] = { raised: error.constructor.name, message: error.message, status: error.httpResponse?.status ?? null };
  }
}

async function said(blob) {
  const bytes = Buffer.from(await blob.arrayBuffer());
  return [blob.type, bytes.subarray(0, 4).toString("hex"), bytes.length > 1000];
}

await note("speech", async () => said(await client(speaker).textToSpeech({ ...named(speaker), inputs: "Hello there." })));
await note("text", () => client(listener).automaticSpeechRecognition({ ...named(listener), data }));
await note("labels", () => client(labeller).audioClassification({ ...named(labeller), data }));
await note("converted", async () => {
  const made = await client(converter).audioToAudio({ ...named(converter), data });
  return made.map((each) => [each.label, each["content-type"], each.blob.length > 100]);
});
await note("bad", () => client(listener).automaticSpeechRecognition({ ...named(listener), data: new Blob(["no sound"]) }));
console.log("\n" + JSON.stringify(found));
