/**
 * A process that runs one command after the other for a program: `bnfold --serve`. Starting up is paid once.
 *
 * A line on stdin is a request, a line on stdout an answer or a message about one, each a JSON object:
 *   stdin   {"id": 7, "args": ["fold", "model.onnx", "-o", "folded.onnx", "--json"], "cwd": "/models"}
 *   stdout  {"ready": {"version": "0.1.0", "node": "20.19.0"}}                     once, at the start
 *           {"id": 7, "progress": {"stage": "proof", "done": 3, "total": 20}}      any number of times
 *           {"id": 7, "code": 0, "out": "…", "notes": ["…"]}                       what the command prints, and its exit code
 *           {"id": 7, "code": 3, "notes": [], "error": {"kind": "format", "message": "…", "hint": "…", "place": {…}}}
 * Requests are answered in order. Paths begin at `cwd`, where it is given. The process ends when stdin does.
 */
import { createInterface } from "node:readline";
import { VERSION } from "../report/version.ts";
import { usage } from "./command.ts";
import { type Channel, explain, INTERNAL, speakingTo } from "./terminal.ts";

interface Request {
  readonly id: number;
  readonly args: readonly string[];
  readonly cwd?: string;
}

type Run = (args: readonly string[]) => Promise<number>;

const say = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

function requestOf(line: string): Request {
  let said: Partial<Request>;
  try {
    said = JSON.parse(line);
  } catch {
    throw usage(`a request is a line of JSON, got ${JSON.stringify(line.slice(0, 60))}`);
  }
  const { id, args, cwd } = said;
  if (typeof id !== "number" || !Array.isArray(args) || !args.every((arg) => typeof arg === "string"))
    throw usage("a request is an object with a number `id` and strings `args`");
  if (cwd !== undefined && typeof cwd !== "string") throw usage("`cwd` of a request is the path of a folder");
  if (args[0]?.startsWith("--") === true && args[0] !== "--version") throw usage(`"${args[0]}" is no command`);
  return { id, args, cwd };
}

/** What went wrong, for a program to read. */
function failure(error: unknown): { code: number; error: object } {
  const known = explain(error);
  if (known !== undefined) {
    const { kind, message, hint, place, exitCode } = known;
    return { code: exitCode, error: { kind, message, hint: hint ?? null, place } };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: INTERNAL, error: { kind: "internal", message, hint: null, place: {} } };
}

/** Does work in a folder and leaves it again: one that a process is in cannot be removed everywhere. */
async function inFolder<T>(folder: string | undefined, work: () => Promise<T>): Promise<T> {
  if (folder === undefined) return work();
  const home = process.cwd();
  process.chdir(folder);
  try {
    return await work();
  } finally {
    process.chdir(home);
  }
}

async function answer(line: string, run: Run): Promise<void> {
  let out = "";
  const notes: string[] = [];
  let id: number | null = null;
  try {
    const request = requestOf(line);
    id = request.id;
    const channel: Channel = {
      out: (text) => {
        out += text;
      },
      err: (text) => {
        notes.push(text.trimEnd());
      },
      onProgress: (stage, done, total) => say({ id, progress: { stage, done, total } }),
    };
    const code = await inFolder(request.cwd, () => speakingTo(channel, () => run(request.args)));
    say({ id, code, out, notes });
  } catch (error) {
    say({ id, notes, ...failure(error) });
  }
}

/** Answers until stdin ends. */
export async function serve(run: Run): Promise<number> {
  say({ ready: { version: VERSION, node: process.versions.node } });
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.trim() !== "") await answer(line, run);
  }
  return 0;
}
