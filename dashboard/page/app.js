// Keeps the page up to date with the server by server-sent events: bottles, proposals, decisions.
import { $, ask, make } from "./dom.js";
import { addDecisions, resetDecisions } from "./decisions.js";
import { card, cardAt, cardOf } from "./proposal.js";

const proposals = new Map();
const source = new EventSource("/api/events");
const on = (event, act) => source.addEventListener(event, (message) => act(JSON.parse(message.data)));

source.onopen = () => { $("link").textContent = "live"; };
source.onerror = () => {
  $("link").textContent = source.readyState === EventSource.CLOSED
    ? "the dashboard was restarted: open the address that it printed" : "not connected; trying again";
};
on("bottles", ({ bottles, problem }) => {
  $("problem").hidden = !problem;
  $("problem").textContent = problem;
  $("no-bottles").hidden = bottles.length > 0;
  $("bottles").replaceChildren(...bottles.map(bottle));
});
on("proposals", ({ stack, proposals: current }) => { proposals.set(stack, current); drawProposals(); });
on("decisions", resetDecisions);
on("decision", (one) => addDecisions([one]));
on("progress", ({ stack, id, line }) => cardOf(stack, id)?.progress(line));
on("done", ({ stack, id, ok, text }) => cardOf(stack, id)?.done(ok, text));

function bottle({ stack, declared, parts }) {
  const item = make("li"), list = make("div", "", "parts");
  item.append(make("div", stack, "name"));
  if (!parts.length) item.append(make("div", "not up", "small"));
  for (const { role, health, status } of parts) list.append(make("span", ` ${role}`, health), make("span", health === "stopped" ? status : health));
  item.append(list);
  if (!declared) item.append(make("div", "its stack file is in another checkout", "small"));
  if (parts.length && declared) {
    const button = make("button", "How to continue"), command = make("code", "", "small");
    button.addEventListener("click", async () => {
      try { command.textContent = (await ask("GET", `/api/${encodeURIComponent(stack)}/resume`)).command; }
      catch (error) { command.textContent = error.message; }
    });
    item.append(button, make("br"), command);
  }
  return item;
}

function drawProposals() {
  const all = [...proposals].flatMap(([stack, current]) => current.map((proposal) => ({ stack, proposal })));
  const pending = all.filter(({ proposal }) => proposal.verdict === "pending");
  const answered = all.filter(({ proposal }) => proposal.verdict !== "pending").sort((a, b) => b.proposal.decided - a.proposal.decided);
  // A card that was just answered stays in its place until the next change, so that its outcome can be read.
  place($("proposals"), pending);
  place($("answered"), answered.slice(0, 50));
  $("no-proposals").hidden = pending.length > 0;
  $("waiting").hidden = !pending.length;
  $("waiting").textContent = `${pending.length} waiting`;
  $("past").hidden = !answered.length;
  $("past-count").textContent = answered.length;
  document.title = pending.length ? `(${pending.length}) claude-bottle` : "claude-bottle";
}

function place(where, entries) {
  const wanted = entries.map(({ stack, proposal }) => card(stack, proposal));
  // Moving a card takes the focus from its fields, so only cards in the wrong place are moved.
  for (const element of [...where.children]) if (!wanted.includes(element)) element.remove();
  wanted.forEach((element, index) => { if (where.children[index] !== element) where.insertBefore(element, where.children[index] || null); });
}

function move(step) {
  const all = [...$("proposals").children];
  const now = all.findIndex((one) => one.contains(document.activeElement));
  all[Math.min(Math.max(now + step, 0), all.length - 1)]?.focus();
}

const KEYS = { p: "preview", a: "approve", e: "edit", r: "reject" };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, textarea, select");
  if (event.key === "Escape" && typing) return event.target.closest(".proposal, #filters")?.focus() ?? event.target.blur();
  if (typing) return;
  const here = document.activeElement?.closest?.("#proposals > .proposal");
  if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "/") { event.preventDefault(); $("filter-text").focus(); }
  else if (event.key === "?") $("help").showModal();
  else if (!here && KEYS[event.key]) move(1); // first show which card it would apply to
  else if (KEYS[event.key]) {
    const one = cardAt(here);
    if (one.busy || (one.proposal.content && "pe".includes(event.key))) return;
    event.preventDefault();
    one[KEYS[event.key]]();
  }
});
$("help-button").addEventListener("click", () => $("help").showModal());
