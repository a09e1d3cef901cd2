// Fills the list of cases from the page's data. Every text goes in as text, never as HTML.
"use strict";
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const WORDS = { pass: "pass", model_fail: "fail", server_lost: "lost", infra: "no answer" };
  const several = data.runs.length > 1;

  const element = (tag, className, ...parts) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...parts.filter((part) => part !== null && part !== ""));
    return made;
  };

  const nameOf = (place) => (place < 26 ? String.fromCharCode(65 + place) : String(place + 1));

  // The outcome of a case in one run: a word, or how many of its attempts passed.
  const chip = (attempts, place) => {
    const name = several ? `${nameOf(place)} ` : "";
    if (!attempts) return element("span", "chip none", `${name}not asked`);
    const passed = attempts.filter((attempt) => attempt.outcome === "pass").length;
    const worst = ["model_fail", "server_lost", "infra", "pass"].find((outcome) =>
      attempts.some((attempt) => attempt.outcome === outcome)) || "infra";
    const words = attempts.length > 1 ? `${passed}/${attempts.length}` : WORDS[worst] || attempts[0].outcome;
    return element("span", `chip ${worst}`, name + words);
  };

  const block = (title, text, className) =>
    text ? element("div", "block", element("h5", "", title), element("pre", className || "", text)) : null;

  // Lines that begin with + or - in their colours.
  const difference = (title, text) => {
    if (!text) return null;
    const lines = text.split("\n").map((line) => {
      const sign = line.trimStart()[0];
      return element("span", sign === "+" ? "added" : sign === "-" ? "gone" : "", line + "\n");
    });
    return element("div", "block", element("h5", "", title), element("pre", "", ...lines));
  };

  const folded = (title, text) =>
    text ? element("details", "folded", element("summary", "", title), element("pre", "", text)) : null;

  const call = (made) =>
    element("li", "call", element("code", "name", made.name), element("pre", "", made.arguments),
      folded("context", made.context), folded("result", made.result));

  const step = (said) =>
    element("li", "", said.note ? element("p", "note", said.note) : null, folded("thought aloud", said.thought),
      said.text ? element("pre", "said", said.text) : null,
      said.calls.length ? element("ul", "calls", ...said.calls.map(call)) : null,
      said.text || said.calls.length ? null : element("p", "note", "no text and no call"));

  const attemptView = (attempt, many) => {
    const seconds = typeof attempt.seconds === "number" ? `${attempt.seconds.toFixed(1)} s` : "";
    const calls = attempt.calls ? ` · calls: ${attempt.calls[0]}, at least ${attempt.calls[1]} needed` : "";
    const head = element("p", "head", many ? `attempt ${attempt.number} ` : "",
      element("span", `chip ${attempt.outcome}`, WORDS[attempt.outcome] || attempt.outcome), ` ${seconds}${calls}`);
    const findings = attempt.findings.map(([code, message]) =>
      element("li", "", element("code", "", code), ` ${message}`));
    return element("div", "attempt", head,
      findings.length ? element("ul", "findings", ...findings) : null,
      attempt.steps.length ? element("ol", "steps", ...attempt.steps.map(step)) : null,
      difference("changed in the vault", attempt.changes),
      attempt.outcome === "pass" ? null : difference("should have changed", attempt.wanted));
  };

  const runView = (attempts, place) => {
    const title = several ? element("h4", "", `${nameOf(place)} ${data.runs[place]}`) : null;
    if (!attempts) return element("div", "run", title, element("p", "note", "This run does not hold the case."));
    return element("div", "run", title, ...attempts.map((one) => attemptView(one, attempts.length > 1)));
  };

  const caseView = (one) => {
    const facts = [one.set && `set ${one.set}`, one.tags.length && `tags ${one.tags.join(", ")}`,
      one.tools.length ? `expects ${one.tools.join(", ")}` : "expects no call"].filter(Boolean).join(" · ");
    return element("div", "body", block("prompt", one.question, "prompt"), element("p", "facts", facts),
      element("div", "runs", ...one.runs.map(runView)));
  };

  // Every text of a case, for the search: made when it is first needed.
  const textsOf = (value) =>
    typeof value === "string" ? value
      : value && typeof value === "object" ? Object.values(value).map(textsOf).join("\n") : "";

  const toolsOf = (one) => {
    const made = one.runs.flatMap((run) => run || []).flatMap((attempt) => attempt.steps)
      .flatMap((said) => said.calls).map((made) => made.name);
    return new Set([...one.tools, ...made]);
  };

  const rows = data.cases.map((one) => {
    const summary = element("summary", "", element("span", "id", one.id), element("span", "question", one.question),
      element("span", "chips", ...one.runs.map(chip)));
    const row = element("details", `case ${one.kind}`, summary);
    row.addEventListener("toggle", () => {
      if (row.open && row.childElementCount === 1) row.append(caseView(one));
    });
    const outcomes = new Set(one.runs.flatMap((run) => run || []).map((attempt) => attempt.outcome));
    return { one, row, outcomes, tools: toolsOf(one), text: null };
  });

  const form = document.getElementById("filter");
  const count = document.getElementById("count");

  const fits = (entry, wanted) => {
    const { one, outcomes } = entry;
    const outcome = wanted.get("outcome") || "";
    if (outcome === "!pass" && outcomes.size === 1 && outcomes.has("pass")) return false;
    if (outcome.startsWith("kind:") && one.kind !== outcome.slice(5)) return false;
    if (/^[a-z]/.test(outcome) && !outcome.startsWith("kind:") && !outcomes.has(outcome)) return false;
    if (wanted.get("set") && one.set !== wanted.get("set")) return false;
    if (wanted.get("tag") && !one.tags.includes(wanted.get("tag"))) return false;
    if (wanted.get("tool") && !entry.tools.has(wanted.get("tool"))) return false;
    const text = (wanted.get("text") || "").trim().toLowerCase();
    if (!text) return true;
    entry.text ??= textsOf(one).toLowerCase();
    return entry.text.includes(text);
  };

  const refresh = () => {
    const wanted = new FormData(form);
    let shown = 0;
    for (const entry of rows) {
      entry.row.hidden = !fits(entry, wanted);
      shown += !entry.row.hidden;
    }
    count.textContent = `${shown} of ${rows.length} cases`;
  };

  if (form) {
    document.getElementById("list").append(...rows.map((entry) => entry.row));
    form.addEventListener("input", refresh);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(refresh));
    for (const button of document.querySelectorAll("button[data-filter]")) {
      button.addEventListener("click", () => {
        const field = form.elements[button.dataset.filter];
        if (!field) return;
        form.reset();
        field.value = button.dataset.value;
        refresh();
        document.getElementById("cases").scrollIntoView();
        field.focus({ preventScroll: true });
      });
    }
    refresh();
  }
}
