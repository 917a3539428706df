/**
 * `-` in place of a file: stdin is a model, and a model goes to stdout. Both pass through a folder of their own that goes away
 * with the command: a model is read in no order, and is judged before anybody gets a byte of it. What is printed goes to stderr then.
 */
import { createReadStream, createWriteStream, mkdtempSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { guarded } from "../node/guard.ts";
import { type Command, usage, type Values } from "./command.ts";
import { speakingTo } from "./terminal.ts";

/** What stands for "-" behind the parser, which takes a lone one for nothing. No file has a name with NUL in it. */
const DASH = "\0-";

/** The words with each "-" that means stdin or stdout marked. */
export const withPipes = (args: readonly string[], takesValue: (option: string | undefined) => boolean): string[] =>
  args.map((arg, i) => {
    const before = args[i - 1];
    const isFile = before === "-o" || before === "--output" || !takesValue(before);
    return arg === "-" && isFile ? DASH : arg === "--output=-" ? `--output=${DASH}` : arg;
  });

/** Names of values that a model may stand in, where they say "-". */
const inputsOf = (command: Command, values: Values): string[] =>
  Object.keys(command.positionals).filter((name) => name !== "output-file" && values[name] === DASH);

const isOutput = (values: Values): boolean => values.output === DASH || values["output-file"] === DASH;

async function readStdin(path: string): Promise<void> {
  if (process.stdin.isTTY) throw usage("a model is read from stdin, and stdin is a terminal", "Give a file, or pipe one in.");
  await pipeline(process.stdin, createWriteStream(path));
}

/** The whole file, to stdout. */
async function writeStdout(path: string): Promise<void> {
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    const bytes = chunk as Buffer;
    // A pipe takes a part at a time, and says so by an error when it is full.
    for (let at = 0; at < bytes.length; ) {
      try {
        at += writeSync(1, bytes, at);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EPIPE") return;
        if (code !== "EAGAIN") throw error;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  }
}

/** Runs a command whose values may say "-". @throws BnfoldError of kind "usage" where a terminal stands for a model. */
export async function runPiped(command: Command, values: Values): Promise<number> {
  const inputs = inputsOf(command, values);
  const toStdout = isOutput(values);
  if (inputs.length === 0 && !toStdout) return command.run(values);
  if (inputs.length > 1) throw usage("stdin is one model, and two are to be read from it");
  if (toStdout && process.stdout.isTTY) throw usage("a model is not written to a terminal", "Give a file, or pipe it on.");
  const folder = mkdtempSync(join(tmpdir(), "bnfold-pipe-"));
  const take = () => rmSync(folder, { recursive: true, force: true });
  try {
    return await guarded(new Set([folder]), () => throughFolder(folder, command, values, inputs, toStdout), take);
  } finally {
    take();
  }
}

/** Runs the command on files of the folder, which stand for stdin and stdout. */
async function throughFolder(
  folder: string,
  command: Command,
  values: Values,
  inputs: readonly string[],
  toStdout: boolean,
): Promise<number> {
  const piped: Values = { ...values };
  for (const name of inputs) {
    const path = join(folder, "stdin.onnx");
    await readStdin(path);
    piped[name] = path;
  }
  if (!toStdout) return command.run(piped);
  const path = join(folder, "stdout.onnx");
  const own = { ...piped, output: path, o: undefined, "output-file": undefined, outputFile: undefined };
  const inOne = { ...own, external: values.external ?? ("external" in command.options ? "inline" : undefined) };
  const talk = {
    out: (text: string) => void process.stderr.write(text),
    err: (text: string) => void process.stderr.write(text),
  };
  const code = await speakingTo(talk, () => command.run(inOne as Values));
  if (code === 0 || code === 5) await writeStdout(path);
  return code;
}
