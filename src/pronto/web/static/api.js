// The public API for the scripts of a page, in the name of whoever is signed in. docs/web.md says more.
//
// No cookie counts at the API. A page fetches a token for itself, which is in no storage, lives an hour at most, can only
// run models, and ends with the browser's sign-in. Without a sign-in, calls go without a token.

const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";

export const account = meta("pronto-account"); // "" when nobody is signed in

export class ApiError extends Error {
  constructor(status, message, type, facts = {}) {
    super(message);
    Object.assign(this, { status, type, facts }); // facts: the other fields of the body, and retryAfter in seconds
  }
}

let kept = null; // {token, until}
let asking = null;

async function token() {
  if (!account) return "";
  if (kept && Date.now() < kept.until) return kept.token;
  asking ??= fetchToken().finally(() => { asking = null; });
  return asking;
}

async function fetchToken() {
  const response = await fetch("/session/token", {
    method: "POST",
    headers: { accept: "application/json", "x-form-token": meta("pronto-form") },
  });
  if (!response.ok) throw await failure(response);
  const given = await response.json();
  kept = { token: given.token, until: Date.now() + given.expires_in * 500 }; // half of its life
  return kept.token;
}

// A fetch at the API with the token. `body`: a plain value is sent as JSON; a Blob, FormData or string as it is.
// Raises ApiError for every answer that is no success, and AbortError when `signal` says so.
export async function call(path, { method, body, headers = {}, signal } = {}) {
  const send = async () => {
    const sent = new Headers({ accept: "application/json", ...headers });
    const secret = await token();
    if (secret) sent.set("authorization", `Bearer ${secret}`);
    let content = body;
    const isPlain = body !== undefined && !(body instanceof Blob || body instanceof FormData || typeof body === "string");
    if (isPlain) {
      content = JSON.stringify(body);
      if (!sent.has("content-type")) sent.set("content-type", "application/json");
    }
    return fetch(path, { method: method ?? (body === undefined ? "GET" : "POST"), headers: sent, body: content, signal, credentials: "omit" });
  };
  let response = await send();
  if (response.status === 401 && kept) { // it was ended meanwhile: one more try with a new one
    kept = null;
    response = await send();
  }
  if (!response.ok) throw await failure(response);
  return response;
}

export async function json(path, options) {
  return (await call(path, options)).json();
}

// Server-sent events: an async generator of {data, comment}. A comment is what the server says while one waits
// (position in the queue, seconds until a model is loaded). Ends with the stream; raises ApiError for an error in it.
export async function* events(path, options = {}) {
  const response = await call(path, { ...options, headers: { accept: "text/event-stream", ...options.headers } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        const text = line.endsWith("\r") ? line.slice(0, -1) : line;
        if (text.startsWith(":")) yield { comment: text.slice(1).trim() };
        if (!text.startsWith("data:")) continue;
        const content = text.slice(5).trim();
        if (content === "[DONE]") return;
        const data = JSON.parse(content);
        if (data.error) throw new ApiError(response.status, data.error.message ?? data.error, data.error.type ?? data.error_type, data);
        yield { data };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function failure(response) {
  let body = {};
  try { body = await response.json(); } catch { /* no JSON: a proxy in between, perhaps */ }
  const { error, error_type: type, ...facts } = body;
  const message = error?.message ?? error ?? `The server answered with ${response.status}.`;
  const retryAfter = Number(response.headers.get("retry-after")) || null;
  return new ApiError(response.status, String(message), error?.type ?? type ?? "", { ...facts, retryAfter });
}
