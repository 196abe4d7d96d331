// Sound: a text that is spoken, and sound that is written down or named, from a file or the microphone.

import { ApiError, call, json } from "./api.js";
import { h, show } from "./dom.js";
import { PATIENT, bars, field, filePicker, needed, output, pathOf, runner, settings } from "./play-kit.js";

export function speaking(model) {
  const text = field("Text", { type: "area", value: "Hello, this is a voice of my own server." });
  const set = settings({
    voice: field("Voice", { placeholder: "as the model names it" }),
    seed: field("Seed", { type: "number", min: 0, step: 1 }),
  });
  const shown = output(h("p", { class: "soft" }, "The sound will be here."));
  const body = () => ({ inputs: text.get() ?? "", parameters: set.values() });
  const run = runner(model, {
    label: "Speak",
    work: async ({ signal }) => {
      if (!text.get()) throw new ApiError(0, "Please write a text first.", "missing");
      const response = await call(pathOf(model), { body: body(), signal, headers: { accept: "audio/flac", ...PATIENT } });
      const source = URL.createObjectURL(await response.blob());
      show(shown, h("audio", { controls: true, src: source }), h("p", {}, h("a", { href: source, download: "pronto.flac" }, "Download")));
    },
    recipe: () => ({
      path: pathOf(model), body: body(), accept: "audio/flac", save: "speech.flac",
      hub: ["text_to_speech", { _: body().inputs }, 'open("speech.flac", "wb").write(answer)'],
      openai: ["audio.speech.create", { input: body().inputs, voice: set.values().voice ?? "alloy", response_format: "flac" }, 'answer.write_to_file("speech.flac")'],
      js: ["textToSpeech", { inputs: body().inputs }],
    }),
  });
  return { title: "Speech", node: [text.node, run.node, shown, set.node] };
}

// A button that records until it is pressed again, and gives what was heard.
function microphone(take, trouble) {
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) return null;
  let recorder = null;
  const button = h("button", { type: "button", class: "button" }, "Record");
  button.addEventListener("click", async () => {
    if (recorder) { recorder.stop(); return; }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const parts = [];
      recorder = new MediaRecorder(stream);
      recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
      recorder.addEventListener("stop", () => {
        stream.getTracks().forEach((track) => track.stop());
        take(new File(parts, "recording", { type: recorder.mimeType }));
        recorder = null;
        button.textContent = "Record";
      });
      recorder.start();
      button.textContent = "Stop recording";
    } catch (error) {
      show(trouble, `The microphone cannot be used: ${error.message}`);
    }
  });
  return button;
}

export function hearing(model) {
  const writes = model.task.startsWith("automatic");
  const stamps = field("With times", { type: "check" });
  const trouble = h("p", { class: "wrong" });
  const picker = filePicker("audio/*,video/webm", (file) => h("audio", { controls: true, src: URL.createObjectURL(file) }));
  const shown = output(h("p", { class: "soft" }, "The answer will be here."));
  const run = runner(model, {
    label: writes ? "Write it down" : "Name it",
    work: async ({ signal }) => {
      const file = needed(picker.get());
      let asked = file;
      if (writes && stamps.get()) {
        const { base64 } = await import("./play-kit.js");
        asked = { inputs: await base64(file), parameters: { return_timestamps: true } };
      }
      const answer = await json(pathOf(model), { method: "POST", body: asked, signal, headers: PATIENT });
      show(shown, writes ? transcript(answer) : bars(answer));
    },
    recipe: () => ({
      path: pathOf(model), file: "sound.flac",
      hub: [writes ? "automatic_speech_recognition" : "audio_classification", { _: "sound.flac" }],
      js: [writes ? "automaticSpeechRecognition" : "audioClassification", { data: "@file sound.flac" }],
    }),
  });
  return { title: writes ? "Speech to text" : "Sound classification", node: [picker.node, h("div", {}, microphone(picker.take, trouble)), trouble, writes ? stamps.node : null, run.node, shown] };
}

function transcript({ text, chunks }) {
  const clock = (seconds) => (seconds === null || seconds === undefined ? "" : `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`);
  return [
    h("p", { class: "prose" }, text || "Nothing was heard."),
    chunks?.length ? h("dl", { class: "facts" }, chunks.map(({ text: part, timestamp }) => [h("dt", {}, clock(timestamp[0])), h("dd", {}, part)])) : null,
  ];
}
