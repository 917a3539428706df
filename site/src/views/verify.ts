/** Two files, whoever made them: the verdict first, then where they differ first, then what differs between them as files. */
import type { ModelDiff } from "../../../src/diff/types.ts";
import { diffAnswer, diffRows } from "../../../src/report/diff-text.ts";
import { plain } from "../../../src/report/style.ts";
import { bisectionLines, verdictFacts } from "../../../src/report/verdict-text.ts";
import { brief, byteSize, nodeLabel, printable } from "../../../src/report/words.ts";
import { verifyCommand } from "../command.ts";
import { announce, type Children, copyButton, h, replace, table } from "../dom.ts";
import { CalledOff, engine, WorkFailed } from "../engine.ts";
import { fromList, sortFiles } from "../files.ts";
import { DEFAULTS, type ModelFiles, type Verified } from "../protocol.ts";
import { part as lazyPart } from "./part.ts";
import { failureView, progressView } from "./progress.ts";

/** Rows of a table; the rest is counted. */
const ROWS = 200;

const nameOf = ({ path }: ModelFiles): string => path.split("/").at(-1) ?? path;

export class VerifyView {
  private pair: [ModelFiles | undefined, ModelFiles | undefined] = [undefined, undefined];
  private readonly result = h("div", {});
  private readonly form = h("div", { class: "columns two" });
  private bisect = false;
  private running: AbortController | undefined;

  constructor(root: HTMLElement) {
    const box = h("input", {
      type: "checkbox",
      onchange: () => {
        this.bisect = box.checked;
      },
    });
    replace(
      root,
      h("h1", {}, "Do two models compute the same function?"),
      h(
        "p",
        { class: "promise" },
        "Whoever made them. Drop both, or choose them one by one; ",
        h("strong", {}, "they stay on your machine."),
      ),
      this.form,
      h("label", { class: "check" }, box, h("span", {}, "When they differ, find whose numbers make the difference")),
      this.result,
    );
    this.draw();
  }

  /** Two at once are the original and the other; one fills the free place. */
  take(models: readonly ModelFiles[]): void {
    for (const model of models.slice(0, 2)) {
      const free = this.pair[0] === undefined || (this.pair[1] !== undefined && models.length > 1) ? 0 : 1;
      if (free === 0 && models.length > 1) this.pair = [model, undefined];
      else this.pair[free] = model;
    }
    this.draw();
    if (this.pair[0] !== undefined && this.pair[1] !== undefined) void this.work(this.pair[0], this.pair[1]);
  }

  private draw(): void {
    replace(this.form, ...(["The original", "The other"] as const).map((label, i) => this.place(label, i as 0 | 1)));
  }

  private place(label: string, i: 0 | 1): HTMLElement {
    const id = `verify-${i}`;
    const input = h("input", { id, type: "file", class: "offscreen", multiple: true });
    input.addEventListener("change", async () => {
      const { models } = await sortFiles(fromList(input.files ?? []));
      if (models[0] === undefined) return;
      this.pair[i] = models[0];
      this.draw();
      if (this.pair[0] !== undefined && this.pair[1] !== undefined) await this.work(this.pair[0], this.pair[1]);
    });
    const there = this.pair[i];
    const what = there === undefined ? "none yet" : `${printable(nameOf(there))}, ${byteSize(there.main.size)}`;
    return h(
      "div",
      { class: "drop small" },
      h("h2", {}, label),
      h("p", {}, what),
      h("p", {}, h("label", { class: "button", for: id }, `Choose ${label.toLowerCase()}`), input),
    );
  }

  private async work(a: ModelFiles, b: ModelFiles): Promise<void> {
    this.running?.abort();
    const running = new AbortController();
    this.running = running;
    const view = progressView(`${nameOf(a)} and ${nameOf(b)}`, 1, 0, () => running.abort());
    replace(this.result, view.element);
    const command = verifyCommand(nameOf(a), nameOf(b), this.bisect);
    try {
      const found = await engine.ask("verify", { a, b, options: DEFAULTS, bisect: this.bisect }, view.step, running.signal);
      replace(this.result, ...shown(found, command, { before: a, after: b }));
      const head = this.result.querySelector<HTMLElement>(".answer");
      announce(head?.textContent ?? "");
      head?.focus({ preventScroll: true });
    } catch (error) {
      if (error instanceof CalledOff) replace(this.result, h("p", { class: "problem" }, "Called off."));
      else if (error instanceof WorkFailed) replace(this.result, failureView(error.failure, command));
      else throw error;
    }
  }
}

function first({ verdict }: Verified): Children {
  const place = verdict.proof?.regions.find(({ outcome }) => outcome === "different");
  const ran = verdict.run?.firstDifference;
  if (place === undefined && ran === undefined) return undefined;
  const proved = place && [
    `value ${printable(place.value)}`,
    place.reason && printable(place.reason),
    place.at && printable(`${place.at.tensor}[${place.at.index.join(", ")}]: expected ${place.at.expected}, got ${place.at.got}`),
  ];
  return h(
    "div",
    { class: "problem" },
    h("h3", {}, "The first place that differs"),
    proved && h("p", {}, "By the proof: ", proved.filter(Boolean).join("; ")),
    ran && h("p", {}, printable(`In the run: ${ran.node}, value ${ran.value}, by up to ${brief(ran.maxDifference)}`)),
  );
}

function shown(found: Verified, command: string, pair: { before: ModelFiles; after: ModelFiles }): Children[] {
  const { head, facts, details } = verdictFacts(found.verdict, plain);
  return [
    h("h2", { class: `answer ${found.verdict.outcome}`, tabindex: "-1" }, head),
    h(
      "p",
      { class: "actions" },
      copyButton("Copy as command", () => command),
    ),
    h("p", { class: "command" }, h("code", {}, command)),
    first(found),
    h(
      "dl",
      { class: "facts" },
      facts.flatMap(([label, text]) => [h("dt", {}, label || "also"), h("dd", {}, text)]),
    ),
    details.length > 0 &&
      h(
        "ul",
        { class: "lines" },
        details.map((line) => h("li", {}, line)),
      ),
    found.bisection &&
      h(
        "ul",
        { class: "lines" },
        bisectionLines(found.bisection).map((line) => h("li", {}, line)),
      ),
    ...differences(found.difference),
    lazyPart(
      "Graph",
      async () => {
        const [{ GraphView }, { tellOf }] = await Promise.all([import("./graph.ts"), import("./verify-graph.ts")]);
        return new GraphView(await engine.ask("graph", pair), tellOf(found.difference), true);
      },
      command,
    ).element,
  ];
}

function part(title: string, head: readonly string[], rows: readonly (readonly Children[])[]): Children {
  if (rows.length === 0) return undefined;
  const more = rows.length > ROWS ? h("p", { class: "why" }, `and ${rows.length - ROWS} more`) : undefined;
  const body = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, table(head, rows.slice(0, ROWS)));
  return h(
    "details",
    { class: "part" },
    h("summary", {}, h("h3", {}, `${title} `, h("span", { class: "count" }, rows.length))),
    body,
    more,
  );
}

function differences(diff: ModelDiff): Children[] {
  const { nodes } = diff;
  const head = ["", "change", "what", "where", "before", "after"];
  const rows = diffRows(diff).map((row) => row.map(printable));
  const changes = rows.filter(([what, change]) => what !== "node" || (change !== "added" && change !== "removed"));
  return [
    h("h2", {}, "What differs between the files"),
    h("p", {}, printable(diffAnswer({ diff }))),
    part(
      "Nodes only in the original",
      ["node"],
      nodes.removed.map((node) => [nodeLabel(node)]),
    ),
    part(
      "Nodes only in the other",
      ["node"],
      nodes.added.map((node) => [nodeLabel(node)]),
    ),
    part("What changed", head, changes),
  ];
}
