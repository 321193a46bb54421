// Verifies one bundle after another for a test: each comes as its keys (a JSON list) and its bytes,
// both after their length in 4 bytes; each verdict goes out as a line.

import { stdin, stdout } from "node:process";

import { verify } from "./verify.mjs";

async function* parts() {
  let waiting = Buffer.alloc(0);
  for await (const chunk of stdin) {
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= 4 && waiting.length >= 4 + waiting.readUInt32BE()) {
      const end = 4 + waiting.readUInt32BE();
      yield waiting.subarray(4, end);
      waiting = waiting.subarray(end);
    }
  }
}

let keys = null;
for await (const part of parts()) {
  if (keys === null) {
    keys = JSON.parse(part.toString());
    continue;
  }
  let verdict;
  try {
    verdict = verify(part, keys);
  } catch (error) {
    verdict = { error: `${error.name}: ${error.message}` };
  }
  keys = null;
  stdout.write(`${JSON.stringify(verdict)}\n`);
}
