// What the page has shown, as a file: for when the service cannot be asked.

const ENDINGS = { length: " […]", stopped: " [stopped]", failed: " [broken off]", undefined: " [not over]" };
const WRITERS = {
  md: ["text/markdown", ({ topic, notice, people, turns }) => [
    `# ${topic.split(/\s+/).join(" ")}`, ...(notice ? [`> ${notice}`] : []),
    people.map(({ name, model }) => `- **${name}** (${model})`).join("\n"),
    ...turns.flatMap((turn) => [`## ${turn.number}. ${turn.speaker}`, turn.text.trim() + (ENDINGS[turn.reason] ?? "")]),
  ].join("\n\n")],
  txt: ["text/plain", ({ topic, notice, turns }) => [
    topic, ...(notice ? [notice] : []), ...turns.map((turn) => `${turn.speaker}: ${turn.text.trim()}`),
  ].join("\n\n")],
  json: ["application/json", (said) => JSON.stringify(said, null, 2)],
};

export function write(talk, format) {
  const turns = [...talk.turns.values()].map((turn) => (
    { number: turn.number, speaker: turn.speaker.name, text: turn.content, reason: turn.reason }
  ));
  const people = talk.people.map(({ name, model, persona }) => ({ name, model, persona }));
  const { topic, notice, began } = talk;
  const [type, text] = WRITERS[format];
  return { name: `dialogue.${format}`, content: new Blob([`${text({ topic, notice, began, people, turns })}\n`], { type }) };
}
