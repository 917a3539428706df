/** The page: which view is shown, and every way a file comes in. What a view needs is loaded when it is first shown. */
import { announce, byId, h, replace } from "./dom.ts";
import { engine } from "./engine.ts";
import { fromList, fromTransfer, type Given, sortFiles } from "./files.ts";
import type { FoldView } from "./views/fold.ts";

const VIEWS = ["fold", "verify", "explorer", "docs"] as const;
type View = (typeof VIEWS)[number];

const work = byId("work");
let folding: Promise<FoldView> | undefined;

const loadFolding = () => import("./views/fold.ts");

function foldView(): Promise<FoldView> {
  folding ??= loadFolding().then(({ FoldView }) => new FoldView(work, busy));
  return folding;
}

/** What a model will need, while its file is still being looked for. */
function getReady(): void {
  engine.warm();
  void loadFolding().catch(() => undefined);
}

/** With a model on the screen the way in becomes small. */
function busy(any: boolean): void {
  document.body.classList.toggle("busy", any);
}

async function openFiles(given: readonly Given[]): Promise<void> {
  if (given.length === 0) return;
  engine.warm();
  const { models, reports, problems } = await sortFiles(given);
  const view = viewNow();
  if (view === "verify" && models.length > 0) {
    (await verifyView()).take(models);
    return;
  }
  if (view === "explorer" && models.length > 0) {
    await (await explorerView()).load(models[0]);
    return;
  }
  if (view !== "fold") location.hash = "#fold";
  if (models.length > 0) await (await foldView()).take(models);
  else if (reports.length > 0) {
    busy(true);
    replace(work, ...(await (await import("./views/old-report.ts")).oldReports(reports)));
    work.querySelector<HTMLElement>(".answer, .problem h2")?.focus({ preventScroll: true });
  }
  if (problems.length > 0 || models.length + reports.length === 0) {
    const said = problems.length > 0 ? problems.join("; ") : "There is no model among these files.";
    work.prepend(h("p", { class: "problem", role: "alert" }, said));
    announce(said);
  }
}

let verifying: Promise<{ take(models: Parameters<FoldView["take"]>[0]): void }> | undefined;

function verifyView() {
  verifying ??= import("./views/verify.ts").then(({ VerifyView }) => new VerifyView(byId("view-verify")));
  return verifying;
}

let exploring: Promise<import("./explorer/view.ts").ExplorerView> | undefined;

function explorerView() {
  exploring ??= import("./explorer/view.ts").then(({ ExplorerView }) => new ExplorerView(byId("view-explorer")));
  return exploring;
}

function viewNow(): View {
  const name = /^#([a-z]+)/.exec(location.hash)?.[1];
  return VIEWS.find((view) => view === name) ?? "fold";
}

async function show(): Promise<void> {
  const view = viewNow();
  for (const name of VIEWS) byId(`view-${name}`).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.getAttribute("href") === `#${view}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "verify") await verifyView();
  if (view === "explorer") (await explorerView()).restore(location.hash);
  if (view === "docs") showPage();
}

/** In the one-file edition pages of documentation lie in templates. */
function showPage(): void {
  const name = location.hash.replace(/^#docs\//, "");
  const template = document.querySelector<HTMLTemplateElement>(`template[data-page="${CSS.escape(name)}"]`);
  const missing = h("p", {}, "There is no page of this name.");
  replace(byId("view-docs"), template === null ? missing : template.content.cloneNode(true));
}

function listenToDrops(): void {
  const overlay = byId("overlay");
  // Elements under the pointer are left and entered in turn: only the last leave is one.
  let depth = 0;
  const inside = (by: number) => {
    depth = Math.max(0, depth + by);
    overlay.hidden = depth === 0;
  };
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") === true;
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    inside(1);
    getReady();
  });
  addEventListener("dragleave", (event) => hasFiles(event) && inside(-1));
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!hasFiles(event) || event.dataTransfer === null) return;
    event.preventDefault();
    depth = 0;
    overlay.hidden = true;
    await openFiles(await fromTransfer(event.dataTransfer));
  });
}

function listen(): void {
  const pick = byId<HTMLInputElement>("pick");
  pick.addEventListener("click", getReady);
  pick.addEventListener("change", async () => {
    const files = fromList(pick.files ?? []);
    pick.value = "";
    await openFiles(files);
  });
  byId("example").addEventListener("click", async () => {
    const { example } = await import("./example.ts");
    await openFiles([example()]);
  });
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "o") {
      event.preventDefault();
      pick.click();
    }
  });
  addEventListener("paste", async (event) => {
    if (event.clipboardData !== null && event.clipboardData.files.length > 0) {
      event.preventDefault();
      await openFiles(await fromTransfer(event.clipboardData));
    }
  });
  listenToDrops();
  addEventListener("hashchange", () => void show());
}

listen();
void show();

// Where pages come over a secure connection, the next visit works without one.
if ("serviceWorker" in navigator && location.protocol !== "file:" && globalThis.BNFOLD_WORKER === undefined)
  addEventListener("load", () => void navigator.serviceWorker.register("sw.js").catch(() => undefined));
