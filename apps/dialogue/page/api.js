// Speaks with the service: requests with the key, and server-sent events over fetch, which (unlike EventSource) can
// carry the key and say why they were refused.

const KEY = "dialogue-key";

export class ApiError extends Error {
  constructor(status, body) {
    super(body?.error?.message ?? `The service answered ${status}.`);
    this.status = status;
    this.code = body?.error?.code ?? "";
    this.details = body?.error ?? {};
  }
}

export function setKey(key) {
  sessionStorage.setItem(KEY, key);
}

async function request(path, options = {}) {
  const headers = { ...options.headers };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service cannot be reached.");
  }
  if (response.ok) return response;
  throw new ApiError(response.status, await response.json().catch(() => null));
}

export async function get(path) {
  return (await request(path)).json();
}

export async function post(path, body = {}) {
  const headers = { "content-type": "application/json" };
  return (await request(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

export async function file(path) {
  const response = await request(path);
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "");
  return { name: name?.[1] ?? "dialogue.txt", content: await response.blob() };
}

// Calls onEvent for each event after place.last, and goes on where it was when the connection breaks. Ends when the
// service says that nothing more comes by itself, or when the signal aborts. Throws when the service refuses.
export async function follow(id, place, { onEvent, onConnection, signal }) {
  let pause = 500;
  for (;;) {
    try {
      const headers = place.last ? { "last-event-id": place.last } : {};
      const response = await request(`/api/conversations/${id}/events`, { headers, signal });
      onConnection(true);
      if (response.status === 204) return;
      for await (const event of events(response.body)) {
        pause = 500;
        place.last = event.id;
        onEvent(event.kind, event.data);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
      onConnection(false);
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (signal.aborted) return;
    pause = Math.min(pause * 2, 10000);
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = {};
      for (const line of block.split("\n")) {
        const colon = line.indexOf(": ");
        if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
      }
      if (fields.data) yield { id: fields.id, kind: fields.event, data: JSON.parse(fields.data) };
    }
  }
}
