// One proposal as a card: who asks, why, the gain, the change, and the owner's answer.
import { ask, make, showDiff } from "./dom.js";

const cards = new Map();

export function card(stack, proposal) {
  const key = `${stack}/${proposal.id}`;
  if (!cards.has(key)) cards.set(key, new Card(stack, proposal));
  const existing = cards.get(key);
  existing.update(proposal);
  return existing.element;
}

export const cardOf = (stack, id) => cards.get(`${stack}/${id}`);
export const cardAt = (element) => [...cards.values()].find((one) => one.element === element);

class Card {
  constructor(stack, proposal) {
    this.stack = stack;
    this.id = proposal.id;
    this.path = `/api/${encodeURIComponent(stack)}/proposals/${encodeURIComponent(proposal.id)}`;
    this.element = document.getElementById("proposal").content.firstElementChild.cloneNode(true);
    this.sure = false;
    this.find(".preview").addEventListener("click", () => this.preview());
    this.find(".edit-button").addEventListener("click", () => this.edit());
    this.find(".approve").addEventListener("click", () => this.approve());
    this.find(".reject").addEventListener("click", () => this.reject());
    this.find(".reply input").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && this.rejecting) this.reject();
    });
    this.find(".earlier").addEventListener("click", () => this.turn(-1));
    this.find(".later").addEventListener("click", () => this.turn(1));
    this.find(".for select").addEventListener("input", () => this.calm());
    this.find("textarea").addEventListener("input", () => this.calm());
  }

  find(selector) { return this.element.querySelector(selector); }

  update(proposal) {
    const pending = proposal.verdict === "pending", was = this.proposal;
    this.proposal = proposal;
    this.element.className = `proposal ${proposal.verdict}`;
    this.element.dataset.id = proposal.id;
    this.find("h3").textContent = pending ? `May the agent ${proposal.gain}?` : proposal.gain;
    const when = new Date(proposal.created * 1000).toLocaleString();
    this.find(".meta").textContent = `${this.stack} · ${proposal.id} · ${proposal.tool} · asked ${when}${pending ? "" : ` · ${proposal.verdict}`}`;
    this.find("blockquote").textContent = proposal.words || "(nothing)";
    const refused = Object.entries(proposal.request).map(([key, value]) => `${key} ${value}`).join(", ");
    this.find(".refused").hidden = !refused;
    this.find(".refused").textContent = `The refused request, as the agent reports it: ${refused}`;
    const note = [proposal.note, proposal.reply && `You said: ${proposal.reply}`, proposal.at_work && pending && !this.busy
      && "Its approval was interrupted: Approve resumes it, Reject rolls it back."].filter(Boolean).join(" ");
    this.find(".note").hidden = !note;
    this.find(".note").textContent = note;
    this.find(".answer").hidden = !pending;
    this.find(".for").hidden = proposal.content || proposal.tool === "capability-block";
    this.find(".diff").hidden = this.find(".diff-title").hidden = !pending || proposal.content;
    this.find(".preview").hidden = this.find(".edit-button").hidden = proposal.content;
    if (!pending) this.find(".held").hidden = this.find(".notes").hidden = true;
    if (pending && !was) this.loaded = this.load();
  }

  async load() {
    try {
      const detail = await ask("GET", this.path);
      this.find("textarea").value = detail.yaml;
      showDiff(this.find(".diff"), detail.diff || "no change: the file already has it");
      this.showNotes(detail.notes);
      if (detail.grants) {
        this.find(".held").hidden = false;
        this.showHeld(detail.held);
      }
    } catch (error) { showDiff(this.find(".diff"), error.message); }
  }

  showNotes(notes) { // side effects of the change, and its limits
    this.find(".notes").hidden = !notes.length;
    this.find(".notes").replaceChildren(...notes.map((note) => make("li", note)));
  }

  showHeld(held) { // one page; approving unseen content needs a ticked box that names the amount
    const { what, headers, why, text, page, pages, unseen } = held;
    this.find(".held pre").textContent = what ? [page === 1 && what, page === 1 && headers, page === 1 && why, text].filter(Boolean).join("\n\n")
      : "it is no longer held; let the agent retry and ask again";
    this.find(".held pre").scrollTop = 0;
    this.page = page;
    this.pages = pages;
    this.unseen = unseen ? unseen.count : 0;
    this.find(".pages").hidden = !(pages > 1);
    this.find(".pages span").textContent = `page ${page} of ${pages}`;
    this.find(".earlier").disabled = page <= 1;
    this.find(".later").disabled = page >= pages;
    this.find(".unseen").hidden = !this.unseen;
    this.find(".unseen input").checked = false;
    this.find(".unseen span").textContent = this.unseen ? `Approve although ${unseen.text} have not been shown` : "";
    this.calm();
  }

  async turn(by) {
    if (this.page + by < 1 || this.page + by > this.pages) return;
    try { this.showHeld(await ask("GET", `${this.path}/held/${this.page + by}`)); }
    catch (error) { this.outcome("This page cannot be shown", "bad", error.message.split("\n")); }
  }

  async edit() {
    await this.loaded; // otherwise its arrival would overwrite the owner's edit
    this.find(".edit").hidden = false;
    this.find("textarea").focus();
    this.calm();
  }

  terms() {
    const edited = !this.find(".edit").hidden, unseen = this.unseen && this.find(".unseen input").checked ? { unseen: this.unseen } : {};
    const others = this.find(".others input").checked ? { others: true } : {};
    return { ...others, reply: this.find(".reply input").value, for: this.find(".for").hidden ? "" : this.find(".for select").value, ...unseen, ...(edited ? { change: this.find("textarea").value } : {}) };
  }

  async preview() {
    this.outcome("pulumi preview …", "", []);
    this.wait(true);
    try {
      const answer = await ask("POST", `${this.path}/preview`, this.terms());
      showDiff(this.find(".diff"), answer.diff || "no change: the file already has it");
      this.showNotes(answer.notes);
      const lines = [...answer.gains, ...answer.steps.map((step) => `pulumi: ${step}`)];
      this.outcome(`Approved, the agent could: ${answer.gain}`, "good", lines.length ? lines : ["pulumi up would change nothing"]);
    } catch (error) { this.outcome("This cannot be applied as it is", "bad", error.message.split("\n")); }
    this.wait(false);
  }

  async approve() {
    if (this.unseen && !this.find(".unseen input").checked) {
      this.outcome("Not all of it has been shown", "bad", ["View the other pages, or tick the box above."]);
      return;
    }
    if (!this.sure) { // a single wrong key must not grant access
      this.sure = true;
      this.find(".approve").textContent = "Approve: sure?";
      this.find(".approve").focus();
      return;
    }
    this.calm();
    this.wait(true);
    this.log = [];
    this.outcome("Applying …", "", []);
    try {
      await ask("POST", `${this.path}/approve`, this.terms());
    } catch (error) { this.done(false, error.message); }
  }

  async reject() {
    if (!this.rejecting) {
      this.rejecting = true;
      this.find(".reply input").focus();
      this.outcome("Words for the agent, then Reject again (or Enter)", "", []);
      return;
    }
    this.rejecting = false;
    this.wait(true);
    try {
      const { proposals } = await ask("POST", `${this.path}/reject`, { reply: this.find(".reply input").value });
      this.answered(proposals);
      this.done(true, "the agent was notified");
    } catch (error) { this.done(false, error.message); }
  }

  progress(line) {
    this.log = [...(this.log || []), line].slice(-200);
    const place = this.find(".log");
    place.hidden = false;
    place.textContent = this.log.join("\n");
    place.scrollTop = place.scrollHeight;
  }

  // Apply the state in the server's response, in case no event brings it.
  answered(proposals) {
    const mine = proposals.find(({ id }) => id === this.id);
    if (mine) this.update(mine);
  }

  done(ok, text) {
    this.wait(false);
    if (ok) { // the card moves to the answered ones; its outcome stays visible
      const last = document.getElementById("last");
      last.hidden = false;
      last.textContent = `${this.proposal.verdict}: ${this.proposal.gain}; ${text || "in force; the agent was notified"}`;
    }
    // An `up` applies all pending changes, so the others need a confirmation of their own.
    if (!ok && text.startsWith("Something else waits")) this.find(".others").hidden = false;
    this.outcome(ok ? "Done" : "Not done", ok ? "good" : "bad", (text || "In force; the agent was notified.").split("\n"));
  }

  calm() { this.sure = this.rejecting = false; this.find(".approve").replaceChildren("Approve ", make("kbd", "a")); }

  wait(busy) {
    this.busy = busy;
    for (const button of this.element.querySelectorAll("button")) button.disabled = busy;
  }

  outcome(title, kind, lines) {
    const place = this.find(".outcome");
    place.hidden = false;
    place.className = `outcome ${kind}`;
    place.querySelector("h4").textContent = title;
    place.querySelector("ul").replaceChildren(...lines.map((line) => make("li", line)));
  }
}
