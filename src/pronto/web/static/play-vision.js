// Models that look: bars beside the image, boxes and masks drawn over it, texts about it.

import { ApiError, json } from "./api.js";
import { h, show } from "./dom.js";
import { PATIENT, bars, base64, field, filePicker, needed, output, pathOf, runner } from "./play-kit.js";

const COLOURS = ["#c2410c", "#2563a8", "#15803d", "#7c3aed", "#a16207", "#be185d", "#0e7490", "#4d7c0f"];

// The picker with the image in a frame on which things can be drawn.
function viewer() {
  const frame = h("div", { class: "seen" });
  const picker = filePicker("image/*", (file) => {
    show(frame, h("img", { src: URL.createObjectURL(file), alt: "Your image" }));
    return frame;
  }, () => {});
  const draw = (node) => {
    frame.querySelectorAll("svg, canvas").forEach((old) => old.remove());
    if (node) frame.append(node);
  };
  return { node: picker.node, get: picker.get, draw, image: () => frame.querySelector("img") };
}

function board(model, { title, label, fields = [], body, draw, hub, js, path = pathOf(model) }) {
  const view = viewer();
  const shown = output(h("p", { class: "soft" }, "The answer will be here."));
  const run = runner(model, {
    label,
    work: async ({ signal }) => {
      view.draw(null);
      const file = needed(view.get());
      const asked = body ? await body(file) : file;
      show(shown, await draw(await json(path, { method: "POST", body: asked, signal, headers: PATIENT }), view));
    },
    recipe: async () => {
      const values = body ? await body(new Blob(["..."])) : null;
      return { path, ...(values ? { body: values } : { file: "image.jpg" }), hub: hub(), js: js?.() };
    },
  });
  return { title, node: [view.node, fields.map((one) => one.node), run.node, shown] };
}

export function labels(model) {
  const zero = model.task.startsWith("zero");
  const names = field("Labels", { value: "a cat, a dog, a house", hint: "With commas between them" });
  const list = () => (names.get() ?? "").split(",").map((one) => one.trim()).filter(Boolean);
  return board(model, {
    title: "Classification", label: "Classify", fields: zero ? [names] : [],
    body: zero ? async (file) => {
      if (!list().length) throw new ApiError(0, "Please name some labels.", "missing");
      return { inputs: await base64(file), parameters: { candidate_labels: list() } };
    } : null,
    draw: (answer) => bars(answer),
    hub: () => (zero ? ["zero_shot_image_classification", { _: "image.jpg", candidate_labels: list() }] : ["image_classification", { _: "image.jpg" }]),
    js: () => (zero ? ["zeroShotImageClassification", { inputs: { image: "@file image.jpg" }, parameters: { candidate_labels: list() } }] : ["imageClassification", { data: "@file image.jpg" }]),
  });
}

export function objects(model) {
  return board(model, {
    title: "Objects", label: "Find them",
    draw: (found, view) => {
      const image = view.image();
      const names = [...new Set(found.map((one) => one.label))];
      const colour = (label) => COLOURS[names.indexOf(label) % COLOURS.length];
      view.draw(h("svg", { viewBox: `0 0 ${image.naturalWidth} ${image.naturalHeight}`, preserveAspectRatio: "none", "aria-hidden": "true" },
        found.map(({ label, box }) => h("rect", { class: "box", x: box.xmin, y: box.ymin, width: box.xmax - box.xmin, height: box.ymax - box.ymin, stroke: colour(label) }))));
      return bars(found);
    },
    hub: () => ["object_detection", { _: "image.jpg" }],
    js: () => ["objectDetection", { data: "@file image.jpg" }],
  });
}

async function pixels(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = h("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  return { canvas, pen, data: pen.getImageData(0, 0, canvas.width, canvas.height) };
}

export function segments(model) {
  return board(model, {
    title: "Segments", label: "Find them",
    draw: async (found, view) => {
      const image = view.image();
      const over = h("canvas", { class: "over", width: image.naturalWidth, height: image.naturalHeight, "aria-hidden": "true" });
      const pen = over.getContext("2d");
      for (const [at, { mask }] of found.entries()) {
        const { canvas, pen: brush, data } = await pixels(`data:image/png;base64,${mask}`);
        const colour = COLOURS[at % COLOURS.length].match(/\w\w/g).map((two) => parseInt(two, 16));
        for (let i = 0; i < data.data.length; i += 4) {
          const inside = data.data[i] > 127;
          data.data.set([...colour, inside ? 130 : 0], i);
        }
        brush.putImageData(data, 0, 0);
        pen.drawImage(canvas, 0, 0, over.width, over.height);
      }
      view.draw(over);
      return h("div", { class: "row" }, found.map(({ label, score }, at) => h("span", { class: "key" },
        h("svg", { viewBox: "0 0 10 10" }, h("rect", { width: 10, height: 10, fill: COLOURS[at % COLOURS.length] })),
        label + (score === undefined ? "" : ` ${score.toFixed(2)}`))));
    },
    hub: () => ["image_segmentation", { _: "image.jpg" }],
    js: () => ["imageSegmentation", { inputs: "@file image.jpg" }],
  });
}

export function depth(model) {
  return board(model, {
    title: "Depth", label: "Measure",
    draw: ({ depth: picture }) => h("img", { src: `data:image/png;base64,${picture}`, alt: "Depth: bright is near" }),
    hub: () => ["depth_estimation", { _: "image.jpg" }],
  });
}

export function caption(model) {
  return board(model, {
    title: "Caption", label: "Describe",
    draw: (answer) => h("p", { class: "prose" }, (Array.isArray(answer) ? answer[0] : answer).generated_text),
    hub: () => ["image_to_text", { _: "image.jpg" }],
    js: () => ["imageToText", { data: "@file image.jpg" }],
  });
}

export function question(model) {
  const asked = field("Question", { value: "What is in the picture?" });
  const method = model.task.startsWith("visual") ? "visual_question_answering" : "document_question_answering";
  return board(model, {
    title: "Questions", label: "Answer", fields: [asked],
    body: async (file) => ({ inputs: { image: await base64(file), question: asked.get() ?? "" } }),
    draw: (answer) => bars((Array.isArray(answer) ? answer : [answer]).map(({ answer: label, score }) => ({ label, score: score ?? 1 }))),
    hub: () => [method, { image: "image.jpg", question: asked.get() ?? "" }],
  });
}
