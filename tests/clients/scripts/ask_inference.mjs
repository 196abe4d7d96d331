// @huggingface/inference, either version: text generation and conversations, whole and streamed.
// Arguments: the server's URL, a token, the id of a model that chats, the id of the echo model, the version.

import * as library from "@huggingface/inference";

const [url, token, chat, echo, version] = process.argv.slice(2);
const isOld = version.startsWith("2.");
const call = '<tool_call>{"name":"get_weather","arguments":{"city":"Paris"}}</tool_call>';
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "get_weather", description: "The weather.", parameters } }];
const messages = [{ role: "user", content: "Hello there" }];
const found = { version };

function client(model, key = token) {
  const endpoint = `${url}/models/${model}`;
  return isOld ? new library.HfInference(key).endpoint(endpoint) : new library.InferenceClient(key, { endpointUrl: endpoint });
}

async function note(name, ask) {
  try {
    found[name] = await ask();
  } catch (error) {
    const answer = error.httpResponse ?? {};
    found[name] = { raised: error.constructor.name, message: error.message, status: answer.status ?? null };
  }
}

// 2.x asks the Hub for a default model where none is named, also with an endpoint; 4.x takes none beside one.
const named = (model) => (isOld ? { model } : {});

async function gather(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return pieces;
}

function textOf(pieces) {
  return pieces.map((piece) => piece.token?.text ?? piece.choices?.[0]?.text ?? "").join("");
}

const parrot = client(echo);
// Where the newer client asks /v1/completions, nothing but a temperature of 0 keeps the echo model from sampling.
const generation = { ...named(echo), inputs: "Hello", parameters: { max_new_tokens: 10, temperature: 0 } };
await note("text", async () => (await parrot.textGeneration(generation)).generated_text);
await note("textStream", async () => {
  const pieces = await gather(parrot.textGenerationStream(generation));
  return { text: textOf(pieces), last: pieces.at(-1).generated_text ?? null, count: pieces.length };
});
await note("chat", async () => {
  const answer = await parrot.chatCompletion({ ...named(echo), messages, max_tokens: 11, temperature: 0 });
  return { text: answer.choices[0].message.content, reason: answer.choices[0].finish_reason, usage: answer.usage };
});
await note("chatReal", async () => {
  const answer = await client(chat).chatCompletion({ ...named(chat), messages, max_tokens: 6 });
  return answer.usage.completion_tokens;
});
await note("chatStream", async () => {
  const pieces = await gather(parrot.chatCompletionStream({ ...named(echo), messages, max_tokens: 11, temperature: 0 }));
  return pieces.map((piece) => piece.choices[0]?.delta.content ?? "").join("");
});
await note("tools", async () => {
  const asked = [{ role: "user", content: call }];
  const answer = await parrot.chatCompletion({ ...named(echo), messages: asked, tools, max_tokens: call.length, temperature: 0 });
  return answer.choices[0].message.tool_calls.map((made) => [made.function.name, made.function.arguments]);
});
await note("bad", () => parrot.textGeneration({ ...generation, parameters: { max_new_tokens: 100000 } }));
await note("badChat", () => parrot.chatCompletion({ ...named(echo), messages, temperature: -3 }));
await note("unknown", () => client("no/such").chatCompletion({ ...named("no/such"), messages }));
await note("badToken", () => client(echo, "hf_wrong").textGeneration(generation));
const failing = client("test/fail-mid");
await note("lateFailure", () => gather(failing.textGenerationStream({ ...generation, ...named("test/fail-mid") })));
await note("lateFailureChat", () => gather(failing.chatCompletionStream({ ...named("test/fail-mid"), messages })));
if (isOld) {
  const uncached = { use_cache: false, wait_for_model: true, retry_on_error: false };
  await note("options", async () => (await parrot.textGeneration(generation, uncached)).generated_text);
}
console.log(JSON.stringify(found));
