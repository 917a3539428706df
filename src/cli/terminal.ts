/** Where the command line writes: the result to stdout, the talk to stderr. */
import { styleText } from "node:util";
import { BnfoldError } from "../diag/error.ts";
import { fileError, systemError } from "../node/locations.ts";
import { wrap } from "../report/layout.ts";
import type { Style } from "../report/style.ts";
import { printable } from "../report/words.ts";
import { ASCII, BLOCKS } from "../train/half-life.ts";

/** Dresses text only when stdout is a terminal that wants colours (NO_COLOR, FORCE_COLOR and redirection are respected). */
export const stdoutStyle: Style = (name, text) => styleText(name, text, { stream: process.stdout });
const stderrStyle: Style = (name, text) => styleText(name, text, { stream: process.stderr });

/** Who is told: the streams of this process, or whoever asks a process that serves (serve.ts). */
export interface Channel {
  /** The result. */
  out(text: string): void;
  /** Talk: notes and complaints. */
  err(text: string): void;
  /** Stages of long work; where it is absent, a terminal is drawn on. */
  readonly onProgress?: (stage: string, done: number, total: number) => void;
}

const STREAMS: Channel = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
};

let current: Channel = STREAMS;

export const channel = (): Channel => current;

/** Whether a program is answered, and not a person's shell. */
export const isServing = (): boolean => current !== STREAMS;

/** Does work whose words go to another channel; one such work at a time. */
export async function speakingTo<T>(other: Channel, work: () => Promise<T>): Promise<T> {
  current = other;
  try {
    return await work();
  } finally {
    current = STREAMS;
  }
}

/**
 * A reader that closes the pipe early, like `head`, is no error: what is left to write is dropped. A full disk is one, and nobody
 * may be left to tell it to.
 */
export function ignoreClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") return;
      process.exitCode = new BnfoldError("file", "").exitCode;
      if (stream === process.stdout)
        complain(`what was printed ${systemError(error.code ?? "")?.[0] ?? `could not be written: ${error.message}`}`, []);
      process.exit();
    });
  }
}

/** Columns of the terminal the result is shown on; undefined where it goes into a file or a pipe, which may be any width. */
export const stdoutWidth = (): number | undefined =>
  process.stdout.isTTY ? Math.max(40, process.stdout.columns ?? 80) : undefined;

/** Characters for bars: blocks on a terminal that shows them, ASCII in files and pipes, without colours, and on dumb terminals. */
export const barsHere = (): string =>
  process.stdout.isTTY && process.env.TERM !== "dumb" && !process.env.NO_COLOR ? BLOCKS : ASCII;

export function print(text: string): void {
  current.out(`${text}\n`);
}

/** Talk that is neither result nor failure. */
export function note(line: string): void {
  current.err(`bnfold: ${printable(line)}\n`);
}

function complain(head: string, lines: readonly string[]): void {
  const width = process.stderr.isTTY ? Math.max(40, process.stderr.columns ?? 80) : Number.POSITIVE_INFINITY;
  const [first, ...rest] = [...wrap(`bnfold: ${head}`, width, "  "), ...lines.flatMap((line) => wrap(`  ${line}`, width, "  "))];
  process.stderr.write(`${[first.replace(/^bnfold:/, stderrStyle("red", "bnfold:")), ...rest].join("\n")}\n`);
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && typeof error.code === "string" && "syscall" in error;
}

/** Any failure as a BnfoldError when it is one of the input's or the environment's. */
export function explain(error: unknown): BnfoldError | undefined {
  if (error instanceof BnfoldError) return error;
  if (isSystemError(error)) {
    if (error.path !== undefined) return fileError(error.path, error);
    const [what, hint] = systemError(String(error.code)) ?? [`cannot be used: the system says ${error.code}`, undefined];
    return new BnfoldError("file", `a file ${what} (${error.syscall})`, {}, hint);
  }
  if (error instanceof RangeError && /allocation|array (buffer )?length|heap/i.test(error.message)) {
    return new BnfoldError("file", "not enough memory", {}, "Close other programs, or use a machine with more memory.");
  }
  return undefined;
}

/** For errors that are bnfold's own fault. */
export const INTERNAL = 70;

/** Prints a failure and returns the exit code. A stack trace only with BNFOLD_DEBUG=1. */
export function reportFailure(error: unknown): number {
  const known = explain(error);
  if (process.env.BNFOLD_DEBUG === "1" && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  if (known === undefined) {
    complain(`internal error: ${printable(error instanceof Error ? error.message : String(error))}`, [
      "This is a defect of bnfold. Run again with BNFOLD_DEBUG=1 and report what it prints.",
    ]);
    return INTERNAL;
  }
  const { file, byte, node, tensor } = known.place;
  const where = [
    ...(byte === undefined ? [] : [`byte ${byte}`]),
    ...(node === undefined ? [] : [`node ${node}`]),
    ...(tensor === undefined ? [] : [`tensor "${tensor}"`]),
  ].join(", ");
  const prefix = file === undefined || known.message.includes(file) ? "" : `${file}: `;
  const head = `${prefix}${known.message}${where === "" ? "" : ` (${where})`}`;
  complain(printable(head), known.hint === undefined ? [] : [printable(known.hint)]);
  return known.exitCode;
}
