// @huggingface/inference: the tasks that read images, and a chat with an image, whole and streamed.
// Arguments as ask_inference.mjs; `PRONTO_IMAGE` is the path of a PNG.

import { readFileSync } from "node:fs";
import { InferenceClient } from "@huggingface/inference";

const [url, token] = process.argv.slice(2);
const bytes = readFileSync(process.env.PRONTO_IMAGE);
const image = new Blob([bytes]);
const found = {};

const client = (name) => new InferenceClient(token, { endpointUrl: `${url}/models/tiny/${name}` });

async function note(name, ask) {
  try {
    found[name] = await ask();
  } catch (error) {
    found[name] = { raised: error.constructor.name, message: error.message, status: error.httpResponse?.status ?? null };
  }
}

const question = { question: "what is this", image };
await note("classification", () => client("vit").imageClassification({ data: image }));
await note("detection", () => client("detr").objectDetection({ data: image }));
await note("segmentation", () => client("segformer").imageSegmentation({ inputs: image }));
await note("instances", () => client("maskformer").imageSegmentation({ inputs: image }));
await note("caption", () => client("vit_gpt2").imageToText({ data: image }));
const parameters = { candidate_labels: ["cat", "a dog"] };
await note("labels", () => client("clip").zeroShotImageClassification({ inputs: { image }, parameters }));
await note("question", () => client("vilt").visualQuestionAnswering({ inputs: question }));
await note("question, written", () => client("blip_vqa").visualQuestionAnswering({ inputs: question }));
await note("page", () => client("donut").documentQuestionAnswering({ inputs: { question: "the total?", image } }));
await note("no image", () => client("vit").imageClassification({ data: new Blob(["Hello"]) }));

const content = [
  { type: "image_url", image_url: { url: `data:image/png;base64,${bytes.toString("base64")}` } },
  { type: "text", text: "what is this?" },
];
const chat = { messages: [{ role: "user", content }], max_tokens: 6, temperature: 0 };
await note("chat", async () => (await client("qwen2_vl").chatCompletion(chat)).choices[0].message.content);
await note("chat stream", async () => {
  const pieces = [];
  for await (const piece of client("qwen2_vl").chatCompletionStream(chat)) pieces.push(piece.choices[0]?.delta.content ?? "");
  return pieces;
});

console.log(`\n${JSON.stringify(found)}`);
