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

// Paragraphs and lists of a text that is complete.
export function format(text) {
  return text.trim().split(/\n{2,}/).map((block) => {
    const lines = block.split("\n");
    const bullets = lines.map((line) => /^\s*(?:[-*•]|(\d+)[.)])\s+(.*)$/.exec(line));
    if (bullets.every(Boolean)) {
      const list = element(bullets[0][1] ? "ol" : "ul", { dir: "auto" });
      for (const bullet of bullets) list.append(fill(element("li", { dir: "auto" }), bullet[2]));
      return list;
    }
    const paragraph = element("p", { dir: "auto" });
    lines.forEach((line, index) => {
      if (index) paragraph.append(element("br"));
      fill(paragraph, line);
    });
    return paragraph;
  });
}

// One or two letters that stand for a name.
export function initials(name) {
  const words = name.split(/[\s\-_]+/).filter((word) => /\p{L}/u.test(word));
  return words.slice(0, 2).map((word) => [...word][0].toUpperCase()).join("") || [...name][0];
}
