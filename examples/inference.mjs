// JavaScript with @huggingface/inference, an answer and a stream: npm install @huggingface/inference

import { InferenceClient } from "@huggingface/inference";

const url = process.env.PRONTO_URL ?? "http://127.0.0.1:8080";
const model = process.env.PRONTO_MODEL ?? "demo/tiny-coder";
const prompt = "import os\n\ndef read_lines(path):\n";

const client = new InferenceClient(process.env.PRONTO_TOKEN, { endpointUrl: `${url}/models/${model}` });

const answer = await client.textGeneration({ inputs: prompt, parameters: { max_new_tokens: 24 } });
console.log(answer.generated_text);

const messages = [{ role: "user", content: prompt }];
for await (const chunk of client.chatCompletionStream({ messages, max_tokens: 24 })) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
}
console.log();
