/** The command line: finds the command, parses its options, runs it, and turns every outcome into an exit code. */
import { existsSync } from "node:fs";
import yargs from "yargs";
import { VERSION } from "../report/version.ts";
import { type Command, usage, type Values } from "./command.ts";
import { COMMANDS, EXIT_CODES } from "./commands.ts";
import { commandHelp, rootHelp } from "./help.ts";
import { runPiped, withPipes } from "./pipes.ts";
import { nearest } from "./suggest.ts";
import { setTable } from "./table.ts";
import { ignoreClosedPipes, print, reportFailure, stdoutWidth } from "./terminal.ts";
import { checkWords, wantsNext } from "./words.ts";

type Parser = ReturnType<typeof yargs>;

function base(args: readonly string[]): Parser {
  return yargs([...args])
    .scriptName("bnfold")
    .locale("en")
    .version(false)
    .help(false)
    .strict()
    .exitProcess(false)
    .parserConfiguration({ "boolean-negation": false, "greedy-arrays": false, "parse-numbers": false, "dot-notation": false });
}

function parserOf(args: readonly string[], command: Command): Parser {
  const places = Object.entries(command.positionals).map(([key, { array, demandOption }]) => {
    const name = `${key}${array ? ".." : ""}`;
    return demandOption ? `<${name}>` : `[${name}]`;
  });
  const pattern = ["$0", ...places].join(" ");
  return base(args).command(pattern, false, (y) => {
    for (const [key, option] of Object.entries(command.positionals)) y.positional(key, option);
    return y.options(command.options);
  });
}

/** What follows "--" is no option, whatever it begins with; the parser loses such words of a command without a name of its own. */
function withoutEnd(args: readonly string[]): readonly string[] {
  const end = args.indexOf("--");
  if (end < 0) return args;
  const rest = args.slice(end + 1).map((arg) => (arg.startsWith("-") && arg !== "-" ? `./${arg}` : arg));
  return [...args.slice(0, end), ...rest];
}

async function runCommand(name: string, given: readonly string[]): Promise<number> {
  const args = withoutEnd(given);
  const { command } = await COMMANDS[name].load();
  const before = args.slice(0, args.includes("--") ? args.indexOf("--") : args.length);
  if (before.some((arg) => arg === "--help" || arg === "-h")) {
    print(commandHelp(name, command, stdoutWidth()));
    return 0;
  }
  if (before.includes("--version")) {
    print(VERSION);
    return 0;
  }
  const { config, rest } = await settled(name, command, args);
  if (config.shown !== undefined) {
    print(config.shown);
    return 0;
  }
  checkWords(name, command, rest);
  const words = withPipes(rest, (option) => wantsNext(command, option));
  const parser = parserOf(words, command).fail((message, error) => {
    throw error ?? usage(message.replace(/\s+/g, " "), `bnfold ${name} --help shows what it takes.`);
  });
  return runPiped(command, (await parser.parseAsync(words)) as Values);
}

/** What variables and config files add to what was written, unless a program is served: its caller says everything. */
async function settled(name: string, command: Command, args: readonly string[]) {
  const { isServing } = await import("./terminal.ts");
  const { configured } = await import("./config.ts");
  const config = await configured(name, command, args, isServing() ? {} : process.env, isServing() ? undefined : process.cwd());
  return { config, rest: config.args };
}

/** The second words of a command of two. */
const actionsOf = (name: string): string[] =>
  Object.keys(COMMANDS)
    .filter((command) => command.startsWith(`${name} `))
    .map((command) => command.slice(name.length + 1));

async function dispatchAction(name: string, args: readonly string[]): Promise<number> {
  const [action] = args;
  const actions = actionsOf(name);
  if (action !== undefined && actions.includes(action)) return runCommand(`${name} ${action}`, args.slice(1));
  if (action === "--help" || action === "-h") {
    const width = Math.max(...actions.map((known) => known.length));
    print(actions.map((known) => `bnfold ${name} ${known.padEnd(width)}  ${COMMANDS[`${name} ${known}`].describe}`).join("\n"));
    return 0;
  }
  const near = action === undefined ? undefined : nearest(action, actions);
  const what = action === undefined ? `${name} needs to know what to do` : `unknown action "${action}"`;
  throw usage(
    `${what}${near === undefined ? "" : `, did you mean "${near}"?`}`,
    `bnfold ${name} ${actions.join("|")}; each has --help.`,
  );
}

async function dispatch(args: readonly string[]): Promise<number> {
  const name = args[0];
  // A process that another one of these has started, to fold for it (batch.ts, work.ts).
  if (name === "--worker" && process.send !== undefined) return (await import("./child.ts")).work();
  // The build asks for it (scripts/build.mjs).
  if (name === "--man") {
    print((await (await import("./man.ts")).manPage()).trimEnd());
    return 0;
  }
  // A process that answers one caller after the other: what Python's package talks to.
  if (name === "--serve") return (await import("./serve.ts")).serve(dispatch);
  if (name !== undefined && Object.hasOwn(COMMANDS, name)) return runCommand(name, args.slice(1));
  if (name !== undefined && actionsOf(name).length > 0) return dispatchAction(name, args.slice(1));
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    if (name === "help" && args[1] !== undefined && Object.hasOwn(COMMANDS, args[1])) return runCommand(args[1], ["--help"]);
    print(rootHelp(stdoutWidth()));
    return name === undefined ? 2 : 0;
  }
  if (name === "--version") {
    print(VERSION);
    return 0;
  }
  if (existsSync(name) || /\.onnx$/i.test(name)) {
    throw usage(
      `"${name}" is no command: what is to be done with it?`,
      `bnfold inspect ${name} shows what is in it; bnfold fold ${name} -o folded.onnx folds it.`,
    );
  }
  const isOption = name.startsWith("-");
  const near = isOption ? nearest(name.replace(/^-+/, ""), ["help", "version"]) : nearest(name, Object.keys(COMMANDS));
  const what = isOption ? `unknown option ${name.split("=")[0]}` : `unknown command "${name}"`;
  throw usage(
    `${what}${near === undefined ? "" : `, did you mean "${isOption ? "--" : ""}${near}"?`}`,
    `The commands are ${Object.keys(COMMANDS).join(", ")}; bnfold --help says more.`,
  );
}

/** Runs the command line and returns the exit code. Never throws. */
export async function main(args: readonly string[]): Promise<number> {
  setTable({ commands: COMMANDS, codes: EXIT_CODES });
  ignoreClosedPipes();
  try {
    return await dispatch(args);
  } catch (error) {
    return reportFailure(error);
  }
}
