// The playground of a model: which one, by its task. Each is a module that gives {title, node}.

import { $, data, h, show } from "./dom.js";

const model = data("model");
const place = $("#play");

const TEXT = ["./play-text.js", "completion"];
const BY_TASK = {
  "text2text-generation": ["./play-text.js", "rewriting"],
  summarization: ["./play-text.js", "rewriting"],
  translation: ["./play-text.js", "rewriting"],
  "fill-mask": ["./play-labels.js", "masks"],
  "text-classification": ["./play-labels.js", "classification"],
  "zero-shot-classification": ["./play-labels.js", "zeroShot"],
  "token-classification": ["./play-labels.js", "entities"],
  "question-answering": ["./play-labels.js", "question"],
  "table-question-answering": ["./play-labels.js", "table"],
  "feature-extraction": ["./play-labels.js", "similarity"],
  "sentence-similarity": ["./play-labels.js", "similarity"],
  "text-ranking": ["./play-labels.js", "ranking"],
  "text-to-image": ["./play-image.js", "painting"],
  "image-to-image": ["./play-image.js", "painting"],
  "image-classification": ["./play-vision.js", "labels"],
  "zero-shot-image-classification": ["./play-vision.js", "labels"],
  "object-detection": ["./play-vision.js", "objects"],
  "image-segmentation": ["./play-vision.js", "segments"],
  "depth-estimation": ["./play-vision.js", "depth"],
  "image-to-text": ["./play-vision.js", "caption"],
  "visual-question-answering": ["./play-vision.js", "question"],
  "document-question-answering": ["./play-vision.js", "question"],
  "text-to-speech": ["./play-audio.js", "speaking"],
  "text-to-audio": ["./play-audio.js", "speaking"],
  "automatic-speech-recognition": ["./play-audio.js", "hearing"],
  "audio-classification": ["./play-audio.js", "hearing"],
};

function playgrounds() {
  if (model.task === "image-text-to-text") return [["./play-chat.js", "chat"]];
  if (model.task !== "text-generation") return BY_TASK[model.task] ? [BY_TASK[model.task]] : [["./play-text.js", "plain"]];
  const found = [TEXT];
  if (model.chats) found.unshift(["./play-chat.js", "chat"]);
  if (model.infills) found.push(["./play-text.js", "infill"]);
  return found;
}

const made = await Promise.all(playgrounds().map(async ([file, name]) => (await import(file))[name](model)));
const body = h("div", { class: "play-body" });
const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Playground" });

function choose(at) {
  show(body, made[at].node);
  [...tabs.children].forEach((tab, index) => tab.setAttribute("aria-selected", String(index === at)));
}

show(tabs, made.map(({ title }, at) => h("button", { type: "button", role: "tab", onclick: () => choose(at) }, title)));
show(place, made.length > 1 ? tabs : h("h2", {}, made[0].title), body);
choose(0);
place.setAttribute("aria-busy", "false");
