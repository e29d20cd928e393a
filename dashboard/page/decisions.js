// The live table of decisions: newest first, filtered in the browser, bounded.
import { $, make } from "./dom.js";

const KEPT = 1000, SHOWN = 300;
let all = [], drawn = false;

export function addDecisions(found) {
  all = found.reverse().concat(all).slice(0, KEPT);
  const stacks = $("filter-stack"), known = new Set([...stacks.options].map((option) => option.value));
  for (const one of found) {
    if (!known.has(one.stack)) { known.add(one.stack); stacks.append(make("option", one.stack)); }
  }
  if (!$("pause").checked) draw();
}

export function resetDecisions(found) { all = []; addDecisions(found); }

function wanted(one) {
  const text = $("filter-text").value.trim().toLowerCase();
  return (!text || `${one.what} ${one.path} ${one.rule}`.toLowerCase().includes(text))
    && (!$("filter-stack").value || one.stack === $("filter-stack").value)
    && (!$("filter-part").value || one.part === $("filter-part").value)
    && (!$("filter-verdict").value || one.verdict === $("filter-verdict").value);
}

function row(one) {
  const made = make("tr", "", `${one.verdict}-row`);
  const when = new Date(one.time), time = make("td", when.toLocaleTimeString());
  time.title = one.time;
  made.append(time, ...[one.stack, one.part, one.verdict, `${one.what} ${one.path}`, one.rule].map((t) => make("td", t)));
  return made;
}

function draw() {
  if (drawn) return;
  drawn = true; // once a frame, however many come
  requestAnimationFrame(() => {
    drawn = false;
    const found = all.filter(wanted);
    $("decisions").replaceChildren(...found.slice(0, SHOWN).map(row));
    $("no-decisions").hidden = found.length > 0;
    $("no-decisions").textContent = all.length ? "No decision is like that." : "Nothing has been decided yet.";
    $("shown").textContent = found.length > SHOWN ? `the newest ${SHOWN} of ${found.length}` : `${found.length} shown`;
  });
}

for (const id of ["filter-text", "filter-stack", "filter-part", "filter-verdict", "pause"]) $(id).addEventListener("input", draw);
$("filters").addEventListener("submit", (event) => event.preventDefault());
