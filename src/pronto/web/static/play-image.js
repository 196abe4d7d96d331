// Images from words: with the progress of each step, a gallery, and another image to begin with where the model takes one.

import { ApiError, events } from "./api.js";
import { h } from "./dom.js";
import { PATIENT, base64, field, filePicker, pathOf, runner, settings, told } from "./play-kit.js";

const MOST = 24; // images in the gallery
const SCHEDULERS = ["", "ddim", "euler", "euler_a", "dpm++", "pndm", "lms", "heun", "unipc"];

export function painting(model) {
  const prompt = field("What shall be seen", { type: "area", rows: 3, value: "A lighthouse in a storm, oil painting" });
  const unwanted = field("What shall not", { placeholder: "blurry, text" });
  const start = filePicker("image/*", (file) => h("img", { src: URL.createObjectURL(file), alt: "The image to begin with", width: 160 }));
  const set = settings({
    width: field("Width", { type: "number", min: 64, max: 2048, step: 8, hint: "In pixels, a multiple of 8" }),
    height: field("Height", { type: "number", min: 64, max: 2048, step: 8 }),
    num_inference_steps: field("Steps", { type: "number", min: 1, max: 150 }),
    guidance_scale: field("Guidance", { type: "number", min: 0, max: 30, step: 0.5, hint: "How closely to follow the words" }),
    seed: field("Seed", { type: "number", min: 0, step: 1, hint: "The same again" }),
    scheduler: field("Scheduler", { type: "select", options: SCHEDULERS }),
    strength: field("Strength", { type: "number", min: 0.05, max: 1, step: 0.05, hint: "Of the change to an image" }),
  });
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Steps" });
  const gallery = h("div", { class: "gallery", "aria-live": "polite" });

  async function body() {
    const words = prompt.get();
    if (!words) throw new ApiError(0, "Please say what shall be seen.", "missing");
    const parameters = { ...set.values(), ...(unwanted.get() ? { negative_prompt: unwanted.get() } : {}) };
    const file = start.get();
    if (!file) { delete parameters.strength; return { inputs: words, parameters }; }
    return { inputs: await base64(file), parameters: { prompt: words, ...parameters } };
  }

  async function work({ signal, say }) {
    const asked = await body();
    bar.removeAttribute("value");
    bar.hidden = false;
    const task = start.get() ? `${pathOf(model)}/pipeline/image-to-image` : pathOf(model);
    try {
      for await (const { data, comment } of events(task, { body: asked, signal, headers: PATIENT })) {
        if (comment) say(told(comment));
        if (data?.type === "progress") {
          bar.value = data.step / data.steps;
          say(`Step ${data.step} of ${data.steps}`);
        }
        if (data?.type === "image") add(data, prompt.get());
      }
    } finally {
      bar.hidden = true;
    }
  }

  function add({ image, media_type: type, seed }, words) {
    const source = `data:${type};base64,${image}`;
    const name = `pronto-${seed}.${type.split("/")[1].replace("jpeg", "jpg")}`;
    gallery.prepend(h("figure", {},
      h("img", { src: source, alt: words }),
      h("figcaption", {}, `${words} · seed ${seed} · `, h("a", { href: source, download: name }, "download"))));
    while (gallery.children.length > MOST) gallery.lastChild.remove();
  }

  const run = runner(model, {
    label: "Make it",
    work,
    recipe: () => {
      const parameters = { ...set.values(), ...(unwanted.get() ? { negative_prompt: unwanted.get() } : {}) };
      delete parameters.strength;
      const { num_inference_steps: steps, seed, scheduler, ...rest } = parameters;
      const python = { _: prompt.get() ?? "", ...rest, ...(steps ? { num_inference_steps: steps } : {}), ...(seed !== undefined ? { seed } : {}), ...(scheduler ? { scheduler } : {}) };
      return {
        path: pathOf(model), body: { inputs: prompt.get() ?? "", parameters }, accept: "image/png", save: "image.png",
        hub: ["text_to_image", python, 'answer.save("image.png")'],
        openai: ["images.generate", { prompt: prompt.get() ?? "", response_format: "b64_json" }, "print(len(answer.data[0].b64_json))"],
        js: ["textToImage", { inputs: prompt.get() ?? "", parameters }],
      };
    },
  });
  return {
    title: "Images",
    node: [prompt.node, unwanted.node, run.node, bar, gallery, set.node,
      h("details", { class: "more" }, h("summary", {}, "Begin with an image"), start.node)],
  };
}
