// Everything is shown as text, because an agent chooses names, words and paths. No innerHTML anywhere.

export const $ = (id) => document.getElementById(id);

export function make(name, text = "", kind = "") {
  const element = document.createElement(name);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

export async function ask(method, path, payload) {
  const options = { method, headers: { "content-type": "application/json" } };
  if (payload) options.body = JSON.stringify(payload);
  let answer, body;
  try {
    answer = await fetch(path, options);
    body = await answer.json();
  } catch {
    throw new Error("the dashboard does not answer; is it still running?");
  }
  if (!answer.ok) throw new Error(body.error || `the dashboard says ${answer.status}`);
  return body;
}

export function showDiff(place, text) {
  place.replaceChildren(...text.split("\n").map((line) => {
    const kind = /^(@@|---|\+\+\+)/.test(line) ? "at" : line.startsWith("+") ? "add" : line.startsWith("-") ? "del" : "";
    return make("span", line + "\n", kind);
  }));
}
