#!/usr/bin/env node
// What an old Node cannot read is not loaded by it: it would end in a syntax error of somebody else's.
const [major, minor] = process.versions.node.split(".").map(Number);

if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`bnfold: needs Node 20.19 or later, this is ${process.versions.node}\n`);
  process.exitCode = 2;
} else {
  const { main } = await import("../dist/cli.js");
  process.exitCode = await main(process.argv.slice(2));
}
