/** The command line: finds the command, parses its options, runs it, and turns every outcome into an exit code. */
import yargs from "yargs";
import { VERSION } from "../report/version.ts";
import { type Command, usage, type Values } from "./command.ts";
import { nearest } from "./suggest.ts";
import { ignoreClosedPipes, print, reportFailure } from "./terminal.ts";

interface Entry {
  readonly describe: string;
  /** Exit codes beyond those every command has. */
  readonly exits?: readonly number[];
  load(): Promise<{ command: Command }>;
}

type Managing = Exclude<keyof typeof import("./jobs-manage.ts"), "default">;

const managing = (name: Managing) => async () => ({ command: (await import("./jobs-manage.ts"))[name] });

/** Every command, loaded when it is called. */
const COMMANDS: Readonly<Record<string, Entry>> = {
  fold: { describe: "Fold batch normalization into neighbouring weights", exits: [1, 5, 6, 75], load: () => import("./fold.ts") },
  verify: { describe: "Decide whether two files compute the same function", exits: [1, 5, 6], load: () => import("./verify.ts") },
  equalize: {
    describe: "Even out ranges of channels by powers of two, for a quantiser",
    exits: [1],
    load: () => import("./equalize.ts"),
  },
  certify: { describe: "Check a certificate that no fewer nodes can stay", exits: [1], load: () => import("./certify.ts") },
  inspect: { describe: "Show operators, and what fold would do", exits: [5, 6], load: () => import("./inspect.ts") },
  diff: { describe: "Show what changed between two files", exits: [1], load: () => import("./diff.ts") },
  run: { describe: "Run a model in float64 and show or save what it computes", load: () => import("./run.ts") },
  momentum: { describe: "Momentum, epsilon and variance between frameworks", load: () => import("./momentum.ts") },
  freeze: { describe: "Give a training-mode model inference semantics", load: () => import("./freeze.ts") },
  recalibrate: { describe: "Compute running statistics anew from data", load: () => import("./recalibrate.ts") },
  report: { describe: "Merge reports of shards, or show one in another form", exits: [6, 75], load: () => import("./report.ts") },
  explain: { describe: "Show the page of a reason or an exit code", load: () => import("./explain.ts") },
  moments: { describe: "Merge the shards of a recalibration", load: () => import("./moments.ts") },
  "jobs fold": {
    describe: "Fold the models of a store, on many machines",
    exits: [5, 6, 75],
    load: () => import("./jobs-fold.ts"),
  },
  "jobs verify": { describe: "Compare pairs of models of a store", exits: [1, 6, 75], load: () => import("./jobs-verify.ts") },
  "jobs recalibrate": {
    describe: "Compute running statistics anew, in shards",
    exits: [75],
    load: () => import("./jobs-recalibrate.ts"),
  },
  "jobs status": { describe: "What a store and a queue have to do", exits: [75], load: managing("statusCommand") },
  "jobs retry": { describe: "Try again what failed", exits: [75], load: managing("retryCommand") },
  "jobs cancel": { describe: "Take what waits out of a queue", exits: [75], load: managing("cancelCommand") },
  worker: { describe: "Take jobs out of a queue", exits: [75], load: () => import("./worker.ts") },
};

const EXIT_CODES: readonly (readonly [code: number, meaning: string, everywhere?: boolean])[] = [
  [0, "done", true],
  [1, "not shown: files equivalent, or a certificate; diff --exit-code: there are changes"],
  [2, "wrong usage", true],
  [3, "not a model that can be read", true],
  [4, "file system", true],
  [5, "--strict or --fail-on, and a node was kept that may not be, or is in training mode"],
  [6, "of many models, some failed"],
  [75, "not done, for a reason that passes: the same command again"],
];

/** The codes a command can give; all of them without `extra`. */
function exitCodes(extra?: readonly number[]): string {
  const listed = EXIT_CODES.filter(([code, , everywhere]) => everywhere || extra === undefined || extra.includes(code));
  return ["Exit codes:", ...listed.map(([code, meaning]) => `  ${code}  ${meaning}`)].join("\n");
}

type Parser = ReturnType<typeof yargs>;

function base(args: readonly string[]): Parser {
  return yargs([...args])
    .scriptName("bnfold")
    .locale("en")
    .version(VERSION)
    .help()
    .alias("help", "h")
    .strict()
    .exitProcess(false)
    .wrap(Math.min(120, process.stdout.columns ?? 100))
    .parserConfiguration({ "boolean-negation": false, "greedy-arrays": false, "parse-numbers": false, "dot-notation": false });
}

function root(args: readonly string[]): Parser {
  const parser = base(args).usage(
    "bnfold <command>\n\nFolds batch normalization in ONNX files and proves the result equivalent.",
  );
  for (const [name, { describe }] of Object.entries(COMMANDS)) parser.command(name, describe);
  return parser
    .example("bnfold fold model.onnx -o folded.onnx", "fold, prove, write")
    .example("bnfold inspect model.onnx", "what is in the file and what fold would do")
    .example("bnfold verify model.onnx folded.onnx", "check any two files")
    .example("bnfold momentum 0.1 --from pytorch --to keras", "0.9")
    .epilogue(`${exitCodes()}\n\nbnfold <command> --help shows the options of a command.`);
}

function parserOf(name: string, args: readonly string[], command: Command): Parser {
  const places = Object.entries(command.positionals).map(([key, { array, demandOption }]) => {
    const name = `${key}${array ? ".." : ""}`;
    return demandOption ? `<${name}>` : `[${name}]`;
  });
  const pattern = ["$0", ...places].join(" ");
  const parser = base(args)
    .usage(`bnfold ${name} ${places.join(" ")} [options]\n\n${COMMANDS[name].describe}`)
    .command(pattern, false, (y) => {
      for (const [key, option] of Object.entries(command.positionals)) y.positional(key, option);
      return y.options(command.options);
    })
    .epilogue(exitCodes(COMMANDS[name].exits ?? []));
  for (const [example, what] of command.examples) parser.example(example, what);
  return parser;
}

const NEGATIVE_NUMBER = /^-\.?\d/;

/** The first option written that the command does not have: the likeliest cause of whatever the parser complains about. */
function unknownOption(command: Command, args: readonly string[]): string | undefined {
  const aliases = Object.values(command.options).flatMap((option) => [option.alias ?? []].flat());
  const known = new Set([...Object.keys(command.options), ...aliases, "help", "h", "version"]);
  const end = args.indexOf("--");
  return args
    .slice(0, end < 0 ? args.length : end)
    .filter((arg, i) => arg.startsWith("-") && arg !== "-" && !NEGATIVE_NUMBER.test(arg) && !takesValue(command, args[i - 1]))
    .map((arg) => arg.split("=")[0])
    .find((option) => !known.has(option.replace(/^--?/, "")) && (option.startsWith("--") || !known.has(option[1])));
}

function takesValue(command: Command, option: string | undefined): boolean {
  if (option === undefined || !option.startsWith("-") || option.includes("=")) return false;
  const name = option.replace(/^--?/, "");
  return Object.entries(command.options).some(
    ([key, o]) => o.requiresArg && (key === name || [o.alias ?? []].flat().includes(name)),
  );
}

const quoted = (words: readonly string[]): string => words.map((word) => `"${word}"`).join(", ");

/** yargs says what it does not like in one sentence; this says it with the names the user typed, and what was probably meant. */
function misuse(message: string, name: string, command: Command, args: readonly string[]): Error {
  const hint = `bnfold ${name} --help shows what it takes.`;
  const option = unknownOption(command, args);
  if (option !== undefined) {
    const near = nearest(option.replace(/^-+/, ""), [...Object.keys(command.options), "help", "version"]);
    return usage(`unknown option ${option}${near === undefined ? "" : `, did you mean --${near}?`}`, hint);
  }
  const places = Object.keys(command.positionals);
  const few = /^Not enough non-option arguments: got (\d+), need at least (\d+)/.exec(message);
  if (few !== null)
    return usage(
      `missing ${places
        .slice(Number(few[1]))
        .map((key) => `<${key}>`)
        .join(" and ")}`,
      hint,
    );
  const extra = /^Unknown arguments?: (.*)$/s.exec(message);
  if (extra !== null) {
    const many = 'For many models give a folder, or a pattern in quotes: bnfold fold "models/*.onnx" -o folded';
    return usage(`unexpected argument ${quoted(extra[1].split(", "))}`, name === "fold" ? many : hint);
  }
  const required = /^Missing required arguments?: (.*)$/s.exec(message);
  if (required !== null)
    return usage(
      `missing ${required[1]
        .split(", ")
        .map((key) => `--${key}`)
        .join(" and ")}`,
      hint,
    );
  const valueless = /^Not enough arguments following: (.*)$/s.exec(message);
  if (valueless !== null) return usage(`--${valueless[1]} needs a value`, hint);
  const choice = /Argument: ([^,]*), Given: "(.*)", Choices: (.*)$/s.exec(message);
  if (choice !== null) {
    const choices = [...choice[3].matchAll(/"([^"]*)"/g)].map(([, word]) => word);
    const near = nearest(choice[2], choices);
    return usage(
      `${places.includes(choice[1]) ? `<${choice[1]}>` : `--${choice[1]}`} cannot be "${choice[2]}"${near === undefined ? "" : `, did you mean "${near}"?`}`,
      `It is one of ${choices.join(", ")}.`,
    );
  }
  return usage(message.replace(/\s+/g, " "), hint);
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
  let asked = false;
  const parser = parserOf(name, args, command).fail((message, error) => {
    throw misuse(message ?? error?.message ?? "wrong usage", name, command, args);
  });
  const values = (await parser.parseAsync([...args], {}, (_error, _values, output) => {
    if (output !== "") {
      asked = true;
      print(output);
    }
  })) as Values;
  return asked ? 0 : command.run(values);
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
  // A process that answers one caller after the other: what Python's package talks to.
  if (name === "--serve") return (await import("./serve.ts")).serve(dispatch);
  if (name !== undefined && Object.hasOwn(COMMANDS, name)) return runCommand(name, args.slice(1));
  if (name !== undefined && actionsOf(name).length > 0) return dispatchAction(name, args.slice(1));
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    if (name === "help" && args[1] !== undefined && Object.hasOwn(COMMANDS, args[1])) return runCommand(args[1], ["--help"]);
    print(await root([]).getHelp());
    return name === undefined ? 2 : 0;
  }
  if (name === "--version") {
    print(VERSION);
    return 0;
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
  ignoreClosedPipes();
  try {
    return await dispatch(args);
  } catch (error) {
    return reportFailure(error);
  }
}
