#!/usr/bin/env node
import { FEW_FILES } from "../dist/few-files.js";

// What an old Node cannot read is not loaded by it: it would end in a syntax error of somebody else's.
const [major, minor] = process.versions.node.split(".").map(Number);

if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`bnfold: needs Node 20.19 or later, this is ${process.versions.node}\n`);
  process.exitCode = 2;
} else {
  // Parts of the program are files themselves: where none can be opened, there is nobody else to say so.
  const loaded = await import("../dist/cli.js").catch((error) => {
    if (error?.code !== "EMFILE" && error?.code !== "ENFILE") throw error;
    process.stderr.write(`bnfold: ${FEW_FILES.what}\n  ${FEW_FILES.hint}\n`);
    process.exitCode = 4;
  });
  if (loaded !== undefined) process.exitCode = await loaded.main(process.argv.slice(2));
}
