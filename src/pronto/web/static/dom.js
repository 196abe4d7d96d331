// Elements out of plain values. Text is always text: the pages' policy refuses strings that become HTML.

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = new Set(["svg", "path", "rect", "circle", "line", "g", "text", "title", "polyline", "polygon", "use"]);

// h("button", {class: "button", onclick: stop, disabled: false}, "Stop"). Attributes that are false, null or undefined are
// left out; those that begin with "on" are listeners; children are elements, strings, numbers, or lists of them.
export function h(tag, attributes = {}, ...children) {
  const node = SHAPES.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function show(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// The JSON in <script type="application/json" id="ID">, as the template's `data` macro writes it.
export function data(id) {
  return JSON.parse(document.getElementById(id)?.textContent ?? "null");
}

export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
