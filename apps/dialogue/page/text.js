// Makes elements, and dresses up the little Markdown that models write. Text only ever becomes text nodes.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const INLINE = /\*\*([^*\n]+)\*\*|`([^`\n]+)`|\*([^*\s][^*\n]*)\*/g;

function inline(text) {
  const nodes = [];
  let last = 0;
  for (const match of text.matchAll(INLINE)) {
    nodes.push(text.slice(last, match.index));
    if (match[1]) nodes.push(element("strong", {}, match[1]));
    else if (match[2]) nodes.push(element("code", {}, match[2]));
    else nodes.push(element("em", {}, match[3]));
    last = match.index + match[0].length;
  }
  nodes.push(text.slice(last));
  return nodes;
}

// One at a time: as arguments of one call, a hundred thousand pieces would not fit the stack.
function fill(parent, text) {
  for (const node of inline(text)) parent.append(node);
  return parent;
}

const KINDS = [
  ["fence", /^\s*```[^`]*$/],
  ["heading", /^\s*#{1,6}\s+(.*)$/],
  ["ul", /^\s*[-*•]\s+(.*)$/],
  ["ol", /^\s*(\d+)[.)]\s+(.*)$/],
  ["", /^\s*$/],
  ["p", /^(.*)$/],
];

// Lines that belong together: the kind of each block, and what matched of its lines.
function blocks(text) {
  const found = [];
  for (const line of text.trim().split("\n")) {
    const last = found.at(-1);
    if (last?.kind === "fence" && last.open) {
      if (KINDS[0][1].test(line)) last.open = false;
      else last.lines.push(line);
      continue;
    }
    const [kind, pattern] = KINDS.find(([, each]) => each.test(line));
    const match = pattern.exec(line);
    if (kind === "fence") found.push({ kind, open: true, lines: [] });
    else if (kind === last?.kind && kind !== "heading") last.lines.push(match);
    else found.push({ kind, lines: [match] });
  }
  return found.filter(({ kind }) => kind);
}

// Paragraphs, lists, headings and code of a text that is complete. A list has the direction of its first words.
export function format(text) {
  return blocks(text).map(({ kind, lines }) => {
    if (kind === "fence") {
      const code = { dir: "ltr", tabindex: "0", role: "group", "aria-label": "Code" }; // wide lines scroll, by keys too
      return element("pre", code, element("code", {}, lines.join("\n")));
    }
    if (kind === "heading") return fill(element("p", { class: "heading", dir: "auto" }), lines[0][1]);
    if (kind === "ul" || kind === "ol") {
      const list = element(kind, { dir: "auto", ...(kind === "ol" && { start: lines[0][1] }) });
      for (const line of lines) list.append(fill(element("li"), line.at(-1)));
      return list;
    }
    const paragraph = element("p", { dir: "auto" });
    lines.forEach((line, index) => {
      if (index) paragraph.append(element("br"));
      fill(paragraph, line[1]);
    });
    return paragraph;
  });
}

// One or two letters that stand for a name.
export function initials(name) {
  const words = name.split(/[\s\-_]+/).filter((word) => /\p{L}/u.test(word));
  return words.slice(0, 2).map((word) => [...word][0].toUpperCase()).join("") || [...name][0];
}
