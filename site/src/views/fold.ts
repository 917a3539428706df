/** Folding: what was dropped goes to the worker one model after the other; a result is kept for each set of options. */
import type { NodeRef } from "../../../src/fold/types.ts";
import { toJson } from "../../../src/report/report.ts";
import { byteSize, plural } from "../../../src/report/words.ts";
import { foldCommand } from "../command.ts";
import { announce, type Children, copyButton, download, h, replace } from "../dom.ts";
import { CalledOff, engine, WorkFailed } from "../engine.ts";
import { modelOf } from "../files.ts";
import { reportMarkdown } from "../markdown.ts";
import {
  DEFAULTS,
  type Failure,
  type Folded,
  type FoldOptions,
  type ModelFiles,
  type Opened,
  type OutputFile,
} from "../protocol.ts";
import { zip } from "../zip.ts";
import { optionsForm } from "./options.ts";
import { part } from "./part.ts";
import { failureView, progressView } from "./progress.ts";
import { banner, details, sizes, summary } from "./report.ts";

interface Item {
  readonly files: ModelFiles;
  opened?: Opened;
  failure?: Failure;
  /** By the options it was made with. */
  readonly results: Map<string, Folded>;
}

const baseName = (path: string): string => path.split("/").at(-1) ?? path;

const outputNameOf = (path: string): string => {
  const name = baseName(path);
  return /\.onnx$/i.test(name) ? name.replace(/\.onnx$/i, ".folded.onnx") : `${name}.folded.onnx`;
};

const saveButton = (label: string, { blob, name }: OutputFile): HTMLElement =>
  h("button", { type: "button", class: "quiet", onclick: () => download(blob, name) }, label);

const results = new WeakMap<Folded, ModelFiles>();

/** What was made, as a model to look at: its own files, and those of the input that it still reads. */
function resultOf(files: ModelFiles, made: Folded): ModelFiles | undefined {
  const [main, ...sides] = made.outputs;
  if (main === undefined) return undefined;
  const known = results.get(made);
  if (known !== undefined) return known;
  const found = {
    ...modelOf(main.name, main.blob),
    sides: [...sides.map(({ name, blob }) => ({ path: name, file: blob })), ...files.sides],
  };
  results.set(made, found);
  return found;
}

export class FoldView {
  private items: Item[] = [];
  private options: FoldOptions = DEFAULTS;
  private chosen = 0;
  private running: AbortController | undefined;

  constructor(
    private readonly root: HTMLElement,
    /** Called when a model is there, so that the page makes room. */
    private readonly onWork: (any: boolean) => void,
  ) {}

  /** New models take the place of those before. */
  async take(models: readonly ModelFiles[]): Promise<void> {
    this.running?.abort();
    this.items = models.map((files) => ({ files, results: new Map() }));
    this.chosen = 0;
    this.onWork(models.length > 0);
    await this.work();
  }

  clear(): void {
    this.running?.abort();
    this.items = [];
    this.root.replaceChildren();
    this.onWork(false);
  }

  private get key(): string {
    return JSON.stringify(this.options);
  }

  /** Folds every model that has no result for the options in force. */
  private async work(): Promise<void> {
    this.running?.abort();
    const running = new AbortController();
    this.running = running;
    const { options, key } = this;
    for (const item of this.items) {
      if (item.results.has(key) || running.signal.aborted) continue;
      item.failure = undefined;
      const view = progressView(baseName(item.files.path), this.items.length, this.items.indexOf(item), () => running.abort());
      replace(this.root, view.element);
      const began = performance.now();
      try {
        item.opened ??= await engine.ask("open", { model: item.files }, undefined, running.signal);
        view.about(item.opened, performance.now() - began);
        const { signal } = running;
        item.results.set(key, await engine.ask("fold", { model: item.files, options }, view.step, signal));
      } catch (error) {
        if (error instanceof CalledOff) break;
        if (!(error instanceof WorkFailed)) throw error;
        item.failure = error.failure;
      } finally {
        view.end();
      }
    }
    if (this.running !== running) return;
    if (running.signal.aborted) this.calledOff();
    else this.show();
  }

  private calledOff(): void {
    announce("Called off.");
    const again = h("button", { type: "button", onclick: () => void this.work() }, "Fold again");
    replace(this.root, h("p", { class: "problem" }, "Called off. Nothing was kept."), h("p", {}, again, " ", this.restart()));
    again.focus();
  }

  private restart(): HTMLElement {
    return h("button", { type: "button", class: "quiet", onclick: () => this.clear() }, "Start over");
  }

  private show(): void {
    const item = this.items[this.chosen];
    if (item === undefined) return;
    replace(this.root, this.items.length > 1 && this.batch(), this.one(item), this.settings());
    const head = this.root.querySelector<HTMLElement>(".answer, .problem h2");
    announce(head?.textContent ?? "");
    head?.focus({ preventScroll: true });
  }

  private settings(): HTMLElement {
    return optionsForm(this.options, (options) => {
      this.options = options;
      void this.work();
    });
  }

  private commandOf({ files }: Item): string {
    const name = baseName(files.path);
    return foldCommand(name, outputNameOf(name), this.options);
  }

  private one(item: Item): HTMLElement {
    const { failure, files } = item;
    const command = this.commandOf(item);
    if (failure !== undefined) return h("article", {}, failureView(failure, command), h("p", {}, this.restart()));
    const made = item.results.get(this.key);
    if (made === undefined) return h("article", {}, h("p", {}, "Not folded yet."));
    const { report } = made;
    const bytes = report.input.totalBytes;
    const text = () => reportMarkdown(report, command);
    const json = () => new Blob([toJson(report)], { type: "application/json" });
    return h(
      "article",
      { class: "result" },
      h("p", { class: "file" }, baseName(files.path), `, ${byteSize(bytes)}`),
      banner(report),
      ...made.notes.map((note) => h("p", { class: "problem" }, note)),
      h(
        "p",
        { class: "actions" },
        this.save(made),
        made.certificate && saveButton("Download the certificate", made.certificate),
        copyButton("Copy report", text),
        copyButton("Copy as command", () => command),
        h(
          "button",
          { type: "button", class: "quiet", onclick: () => download(json(), `${baseName(files.path)}.report.json`) },
          "Report as JSON",
        ),
        this.restart(),
      ),
      h("p", { class: "command" }, h("code", {}, command)),
      summary(report),
      ...this.looks(item, made, command),
    );
  }

  /** Each node, and the graph, to which the nodes lead. */
  private looks({ files }: Item, made: Folded, command: string): HTMLElement[] {
    const graph = part(
      "Graph",
      async () => {
        const [{ GraphView }, { tellOf }] = await Promise.all([import("./graph.ts"), import("./fold-graph.ts")]);
        const after = resultOf(files, made);
        const pair = await engine.ask("graph", { before: files, ...(after === undefined ? {} : { after }) });
        return new GraphView(pair, tellOf(made.report));
      },
      command,
    );
    const show = async (node: NodeRef) => {
      const view = await graph.open();
      if (view === undefined) return;
      if (!view.show(node)) announce("It is not in the file: it came from a call that was written out.");
      graph.element.scrollIntoView({ block: "start" });
      graph.element.querySelector<HTMLElement>("summary")?.focus({ preventScroll: true });
    };
    const statistics = part(
      "Statistics of channels",
      async () => {
        const { StatisticsView } = await import("./statistics.ts");
        return new StatisticsView(await engine.ask("channels", { model: files }), baseName(files.path));
      },
      command,
    );
    return [graph.element, statistics.element, details(made.report, (node) => void show(node))];
  }

  /** The model; with side files that it needs, all of them in one archive. */
  private save(made: Folded): Children {
    const [main, ...sides] = made.outputs;
    if (main === undefined) return h("span", { class: "problem" }, "Nothing to download: it was not shown equivalent.");
    const size = byteSize(made.outputs.reduce((n, { blob }) => n + blob.size, 0));
    const save = async () => {
      if (sides.length === 0) download(main.blob, main.name);
      else download(await zip(made.outputs), `${main.name.replace(/\.onnx$/i, "")}.zip`);
      announce("Saved.");
    };
    const what = sides.length === 0 ? main.name : `${plural(made.outputs.length, "file")} as a zip`;
    return h("button", { type: "button", class: "main", onclick: () => void save() }, `Download ${what} (${size})`);
  }

  private batch(): HTMLElement {
    const rows = this.items.map((item, i) => this.row(item, i));
    const outputs = () => this.items.flatMap((item) => item.results.get(this.key)?.outputs ?? []);
    const done = this.items.filter((item) => (item.results.get(this.key)?.outputs.length ?? 0) > 0).length;
    const all = h(
      "button",
      { type: "button", class: "main", onclick: async () => download(await zip(outputs()), "bnfold.zip") },
      "Download all as a zip",
    );
    const head = ["model", "result", "folded", "kept", "size"].map((cell) => h("th", { scope: "col" }, cell));
    const body = h("tbody", {}, rows);
    return h(
      "section",
      { class: "batch" },
      h("p", {}, `${done} of ${plural(this.items.length, "model")} done. `, done > 0 && all),
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": "Models" },
        h("table", {}, h("thead", {}, h("tr", {}, head)), body),
      ),
    );
  }

  private row(item: Item, index: number): HTMLElement {
    const made = item.results.get(this.key);
    const choose = () => {
      this.chosen = index;
      this.show();
    };
    const name = h(
      "button",
      { type: "button", class: "quiet", "aria-pressed": String(index === this.chosen), onclick: choose },
      item.files.path,
    );
    const size = made && sizes(made.report);
    const norms = made?.report.batchNormalization;
    const cells: Children[] = [
      name,
      item.failure === undefined ? (made?.report.verdict.outcome ?? "waiting") : "failed",
      norms === undefined ? "" : `${norms.folded} of ${norms.before}`,
      norms === undefined ? "" : String(norms.kept),
      size === undefined ? "" : `${byteSize(size.before)} \u2192 ${byteSize(size.after)}`,
    ];
    return h(
      "tr",
      {},
      cells.map((cell) => h("td", {}, cell)),
    );
  }
}
