// The live table of decisions: newest first, filtered in the browser, limited in size.
import { $, make } from "./dom.js";

const KEPT = 1000, SHOWN = 300;
let all = [], drawn = false;

export function addDecisions(decisions) {
  all = decisions.reverse().concat(all).slice(0, KEPT);
  const stacks = $("filter-stack"), known = new Set([...stacks.options].map((option) => option.value));
  for (const one of decisions) {
    if (!known.has(one.stack)) { known.add(one.stack); stacks.append(make("option", one.stack)); }
  }
  if (!$("pause").checked) draw();
}

export function resetDecisions(decisions) { all = []; addDecisions(decisions); }

function wanted(one) {
  const text = $("filter-text").value.trim().toLowerCase();
  return (!text || `${one.what} ${one.path} ${one.rule}`.toLowerCase().includes(text))
    && (!$("filter-stack").value || one.stack === $("filter-stack").value)
    && (!$("filter-part").value || one.part === $("filter-part").value)
    && (!$("filter-verdict").value || one.verdict === $("filter-verdict").value);
}

function row(one) {
  const element = make("tr", "", `${one.verdict}-row`);
  const when = new Date(one.time), time = make("td", when.toLocaleTimeString());
  time.title = one.time;
  element.append(time, ...[one.stack, one.part, one.verdict, `${one.what} ${one.path}`, one.rule].map((t) => make("td", t)));
  return element;
}

function draw() {
  if (drawn) return;
  drawn = true; // once per frame, however many decisions arrive
  requestAnimationFrame(() => {
    drawn = false;
    const matches = all.filter(wanted);
    $("decisions").replaceChildren(...matches.slice(0, SHOWN).map(row));
    $("no-decisions").hidden = matches.length > 0;
    $("no-decisions").textContent = all.length ? "No decision matches." : "Nothing has been decided yet.";
    $("shown").textContent = matches.length > SHOWN ? `the newest ${SHOWN} of ${matches.length}` : `${matches.length} shown`;
  });
}

for (const id of ["filter-text", "filter-stack", "filter-part", "filter-verdict", "pause"]) $(id).addEventListener("input", draw);
$("filters").addEventListener("submit", (event) => event.preventDefault());
