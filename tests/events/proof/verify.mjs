// A second verifier of turnlog's bundles, written from docs/bundle-format.md and nothing else.
//
//     node verify.mjs FILE [PUBLIC_KEY ...]
//
// It keeps the whole file in memory and is no match for a hostile one in that; otherwise it refuses
// what the page refuses. Node's own modules only.

import { createHash, createPublicKey, verify as verifySignature } from "node:crypto";
import { readFileSync } from "node:fs";
import { argv, exit } from "node:process";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const FORMAT = "turnlog bundle v1";
const BLOB = /\{"_type":"blob","_value":\{"sha256":"([0-9a-f]{64})"/g;
const MAX_LINE = 67_108_864;
const MAX_NOTE = 16_384;
const ZEROS = Buffer.alloc(32);
const LINE_FEED = 10;
const NEVER_ERASED = ["OwnerChanged", "BranchChosen", "ConversationForked", "PayloadErased", "HoldPlaced", "HoldLifted", "SideStreamOpened", "QueueSet", "ItemsAdded", "ItemMoved"];

class Wrong extends Error {
  name = "Wrong";
}

function require(condition, expected) {
  if (!condition) throw new Wrong(`expected ${expected}`);
}

function attempt(work, expected) {
  try {
    return work();
  } catch {
    throw new Wrong(`expected ${expected}`);
  }
}

const sha256 = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

// JSON, with each name once and whole numbers of 64 bits, as BigInt.

const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?![0-9.eE])/y;
const SPACE = /[ \t\r\n]*/y;

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  whole() {
    const value = this.value(0);
    this.match(SPACE);
    require(this.at === this.text.length, "one JSON value");
    return value;
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) return null;
    this.at = pattern.lastIndex;
    return found[0];
  }

  take(sign) {
    this.match(SPACE);
    if (this.text[this.at] !== sign) return false;
    this.at += 1;
    return true;
  }

  value(depth) {
    require(depth < 100, "no such depth");
    if (this.take("{")) return this.object(depth);
    if (this.take("[")) return this.list(depth);
    if (this.text[this.at] === '"') return this.string();
    for (const [word, value] of [["null", null], ["true", true], ["false", false]]) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    const number = this.match(NUMBER);
    require(number !== null && number.length <= 20, "a whole number of 64 bits");
    const value = BigInt(number);
    require(BigInt.asIntN(64, value) === value, "a whole number of 64 bits");
    return value;
  }

  string() {
    const quoted = this.match(STRING);
    require(quoted !== null, "a text");
    return JSON.parse(quoted);
  }

  object(depth) {
    const made = new Map();
    if (this.take("}")) return made;
    do {
      this.match(SPACE);
      const name = this.string();
      require(!made.has(name), "each name once");
      require(this.take(":"), "a colon");
      made.set(name, this.value(depth + 1));
    } while (this.take(","));
    require(this.take("}"), "the end of an object");
    return made;
  }

  list(depth) {
    const made = [];
    if (this.take("]")) return made;
    do made.push(this.value(depth + 1));
    while (this.take(","));
    require(this.take("]"), "the end of a list");
    return made;
  }
}

// Values

const isText = (value) => typeof value === "string";
const isNumber = (value) => typeof value === "bigint";
const orNull = (is) => (value) => value === null || is(value);
const isList = Array.isArray;
const isObject = (value) => value instanceof Map;
const isHash = (value) => isText(value) && /^[0-9a-f]{64}$/.test(value);
const isUuid = (value) => isText(value) && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value);

const fromHex = (text) => Buffer.from(text, "hex");

function utf8(text) {
  require(text.isWellFormed(), "text that has UTF-8");
  return Buffer.from(text, "utf8");
}

function fromBase64(text) {
  const data = Buffer.from(text, "base64");
  require(data.toString("base64") === text, "base64");
  return data;
}

function requireNames(line, kinds) {
  const names = Object.keys(kinds);
  require(
    line.size === names.length && names.every((name) => line.has(name)),
    `the names ${names.join(", ")}`,
  );
  for (const name of names) require(kinds[name](line.get(name)), `another value of ${name}`);
}

const MANIFEST = {
  format: isText,
  complete: isText,
  scope: isObject,
  checkpoint: isText,
  key: isText,
};
const EVENT = {
  position: orNull(isNumber),
  stream_id: isNumber,
  version: isNumber,
  type: isText,
  schema: isNumber,
  turn_id: orNull(isUuid),
  actor_id: orNull(isUuid),
  recorded_at: isNumber,
  payload: orNull(isText),
  metadata: isText,
  salt: orNull(isHash),
  digest: isHash,
  hash: isHash,
};

// Keys and the checkpoint

function parseKey(text) {
  const found = /^([^+]*)\+([0-9a-f]{8})\+(.*)$/s.exec(text);
  require(found !== null, "a public key");
  const [, name, id, encoded] = found;
  require(/^[^\p{White_Space}\u0000-\u001f\u007f]{1,200}$/u.test(name), "a key's name");
  const data = fromBase64(encoded);
  require(data.length === 33 && data[0] === 1, "a key of Ed25519");
  const bytes = data.subarray(1);
  const hash = sha256(utf8(name), "\n", data);
  require(hash.subarray(0, 4).toString("hex") === id, "the key's own id");
  const jwk = { kty: "OKP", crv: "Ed25519", x: bytes.toString("base64url") };
  return { name, id, text, key: createPublicKey({ key: jwk, format: "jwk" }) };
}

function parseNote(note) {
  require([...note].length <= MAX_NOTE, "a shorter note");
  const middle = note.lastIndexOf("\n\n");
  require(middle >= 0 && note.endsWith("\n"), "a signed note");
  const text = note.slice(0, middle + 1);
  const signatures = note.slice(middle + 2, -1).split("\n").map((line) => {
    const found = /^\u2014 ([^ ]+) ([A-Za-z0-9+/=]*)$/.exec(line);
    require(found !== null, "a signature line");
    const data = fromBase64(found[2]);
    require(data.length > 4, "a signature");
    return { name: found[1], id: data.toString("hex", 0, 4), signature: data.subarray(4) };
  });
  const [origin, size, root, ...rest] = text.split("\n");
  require(origin !== "" && rest.length >= 1, "origin, size and root");
  require(/^(0|[1-9][0-9]{0,18})$/.test(size), "a size");
  const bytes = fromBase64(root);
  require(bytes.length === 32, "a root of 32 bytes");
  return { text, signatures, origin, size: BigInt(size), root: bytes };
}

function signedBy(note, keys) {
  for (const key of keys) {
    if (key.name !== note.origin) continue;
    const line = note.signatures.find((each) => each.name === key.name && each.id === key.id);
    if (line === undefined) continue;
    require(verifySignature(null, utf8(note.text), key.key, line.signature), "a true signature");
    return key;
  }
  throw new Wrong("expected a checkpoint signed by a known key");
}

// The tree

const node = (left, right) => sha256(Buffer.of(1), left, right);

class Tree {
  size = 0n;
  stack = [];

  push(size, root) {
    this.size += size;
    let top = { size, root };
    while (this.stack.length && this.stack.at(-1).size === top.size) {
      top = { size: top.size * 2n, root: node(this.stack.pop().root, top.root) };
    }
    this.stack.push(top);
  }

  root() {
    if (!this.stack.length) return sha256();
    return this.stack.map(({ root }) => root).reduceRight((right, left) => node(left, right));
  }
}

function subtrees(begin, end) {
  const sizes = [];
  while (begin < end) {
    let size = 1n;
    while (begin % (2n * size) === 0n && begin + 2n * size <= end) size *= 2n;
    sizes.push(size);
    begin += size;
  }
  return sizes;
}

// The walk

class Walk {
  tree = new Tree();
  heads = new Map();
  erased = new Set();
  contents = new Set();
  blobs = new Set();
  needed = new Set();
  events = 0n;
  afterSkip = false;
  found = { erased: 0, erased_unsigned: 0, proven: 0 };

  manifest(line, keys) {
    require(line.get("format") === FORMAT, "a bundle");
    requireNames(line, MANIFEST);
    this.complete = line.get("complete");
    this.scope(line.get("scope"));
    const own = parseKey(line.get("key"));
    this.note = parseNote(line.get("checkpoint"));
    utf8(line.get("checkpoint"));
    this.key = signedBy(this.note, [own]);
    if (keys.length) this.key = signedBy(this.note, keys);
  }

  scope(scope) {
    if (this.complete === "log") {
      require(scope.size === 0, "an empty scope");
    } else if (this.complete === "conversations") {
      requireNames(scope, { conversations: isList });
      this.wanted = scope.get("conversations");
      const rising = (each, at, all) => isNumber(each) && (at === 0 || all[at - 1] < each);
      require(this.wanted.every(rising), "conversations in order");
    } else {
      require(this.complete === "selection", "a known `complete`");
      const values = [...scope.values()].flat(1);
      require(values.every((each) => isText(each) || isNumber(each)), "a flat scope");
    }
  }

  line(line) {
    if (line.has("stream_id")) this.event(line);
    else if (line.has("skip")) this.skip(line);
    else if (line.has("content")) this.content(line);
    else if (line.has("blob")) this.blob(line);
    else if (line.has("end")) return this.end(line);
    else throw new Wrong("expected an event, a skip, a content, a blob or the end");
    return false;
  }

  event(line) {
    requireNames(line, line.has("previous") ? { ...EVENT, previous: isHash } : EVENT);
    const stream = line.get("stream_id");
    const version = line.get("version");
    const payload = line.get("payload");
    const salt = line.get("salt");
    const digest = fromHex(line.get("digest"));
    require((payload === null) === (salt === null), "payload and salt, or neither");
    if (payload === null) this.lose(line.get("type"), stream, version);
    else {
      const computed = sha256(fromHex(salt), utf8(payload));
      require(computed.equals(digest), "the payload that was recorded");
      if (line.get("type") === "PayloadErased") this.forgive(line);
      for (const [, blob] of payload.matchAll(BLOB)) this.needed.add(blob);
    }
    const hash = sha256(...this.layout(line, this.previous(line), digest));
    require(hash.toString("hex") === line.get("hash"), "an event that was not changed");
    this.heads.set(stream, { version, hash, time: line.get("recorded_at") });
    this.place(line.get("position"), hash);
    this.events += 1n;
    this.afterSkip = false;
  }

  layout(line, previous, digest) {
    const type = utf8(line.get("type"));
    const metadata = utf8(line.get("metadata"));
    const schema = line.get("schema");
    require(type.length <= 0xffff, "a shorter type");
    require(BigInt.asIntN(16, schema) === schema, "a schema of 16 bits");
    const numbers = Buffer.alloc(26);
    numbers.writeBigInt64BE(line.get("stream_id"), 0);
    numbers.writeBigInt64BE(line.get("version"), 8);
    numbers.writeBigInt64BE(line.get("recorded_at"), 16);
    numbers.writeInt16BE(Number(schema), 24);
    const ids = ["turn_id", "actor_id"].map((name) => {
      const id = line.get(name);
      return id === null ? Buffer.alloc(17) : fromHex(`01${id.replaceAll("-", "")}`);
    });
    const lengths = [Buffer.alloc(2), Buffer.alloc(4)];
    lengths[0].writeUInt16BE(type.length);
    lengths[1].writeUInt32BE(metadata.length);
    const tag = "turnlog event v1\n";
    return [tag, previous, numbers, ...ids, digest, lengths[0], type, lengths[1], metadata];
  }

  previous(line) {
    const before = this.heads.get(line.get("stream_id")) ?? { version: 0n, hash: ZEROS };
    const version = line.get("version");
    require(before.time === undefined || line.get("recorded_at") >= before.time, "a later time");
    if (version === before.version + 1n) {
      require(!line.has("previous"), "no `previous`");
      return before.hash;
    }
    require(version > before.version && this.complete === "selection", "the next version");
    require(line.has("previous"), "`previous`");
    return fromHex(line.get("previous"));
  }

  place(position, hash) {
    if (position === null) {
      require(this.tree.size === this.note.size, "an event with a position");
      return;
    }
    require(position === this.tree.size + 1n && position <= this.note.size, "the next position");
    this.tree.push(1n, sha256(Buffer.of(0), hash));
    this.found.proven += 1;
  }

  skip(line) {
    requireNames(line, { skip: isList, until: isNumber });
    const hashes = line.get("skip");
    const until = line.get("until");
    require(this.complete !== "log", "the whole log");
    require(!this.afterSkip, "one skip, not two");
    require(this.tree.size < until && until <= this.note.size, "a position within the tree");
    const sizes = subtrees(this.tree.size, until);
    require(hashes.length === sizes.length && hashes.every(isHash), `${sizes.length} hashes`);
    sizes.forEach((size, at) => this.tree.push(size, fromHex(hashes[at])));
    this.afterSkip = true;
  }

  content(line) {
    requireNames(line, { content: isText, sha256: isHash });
    const digest = line.get("sha256");
    require(sha256(utf8(line.get("content"))).toString("hex") === digest, "the text's digest");
    require(!this.contents.has(digest), "each content once");
    this.contents.add(digest);
  }

  blob(line) {
    requireNames(line, { blob: isText, sha256: isHash });
    const digest = line.get("sha256");
    const data = fromBase64(line.get("blob"));
    require(sha256(data).toString("hex") === digest, "the blob's digest");
    require(!this.blobs.has(digest), "each blob once");
    this.blobs.add(digest);
  }

  lose(type, stream, version) {
    require(!NEVER_ERASED.includes(type), "a payload");
    this.erased.add(`${stream}/${version}`);
    this.found.erased += 1;
  }

  forgive(line) {
    const payload = new Reader(line.get("payload")).whole();
    const versions = isObject(payload) ? payload.get("versions") : null;
    require(isList(versions) && versions.every(isNumber), "versions");
    for (const version of versions) {
      const named = this.erased.delete(`${line.get("stream_id")}/${version}`);
      if (named && line.get("position") === null) this.found.erased_unsigned += 1;
    }
  }

  end(line) {
    requireNames(line, { end: isObject });
    requireNames(line.get("end"), { events: isNumber, conversations: isNumber });
    require(line.get("end").get("events") === this.events, "as many events");
    const streams = [...this.heads.keys()];
    require(line.get("end").get("conversations") === BigInt(streams.length), "as many conversations");
    require(this.tree.size === this.note.size, "the whole tree");
    require(this.tree.root().equals(this.note.root), "the root that is signed");
    if (this.wanted !== undefined) {
      const all = new Set(this.wanted);
      require(all.size === streams.length && streams.every((one) => all.has(one)), "the scope's");
    }
    require([...this.needed].every((digest) => this.blobs.has(digest)), "the events' blobs");
    require(this.erased.size === 0, "a PayloadErased for each erased event");
    return true;
  }
}

function* linesOf(file) {
  let data = file;
  if (file[0] === 0x1f && file[1] === 0x8b) {
    const unpacked = attempt(() => gunzipSync(file, { info: true }), "a whole gzip file");
    const rest = file.subarray(unpacked.engine.bytesWritten);
    require(rest.every((byte) => byte === 0), "nothing after the gzip data");
    data = unpacked.buffer;
  }
  let begin = 0;
  while (begin < data.length) {
    const end = data.indexOf(LINE_FEED, begin);
    require(end >= 0, "a line feed at the end of a line");
    require(end + 1 - begin <= MAX_LINE, "a shorter line");
    yield data.subarray(begin, end);
    begin = end + 1;
  }
}

/** What a bundle holds; throws an error that says what is wrong with it. */
export function verify(file, keys = []) {
  // Not to swallow a byte order mark, which no line begins with.
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const walk = new Walk();
  const known = keys.map(parseKey);
  let number = 0;
  let ended = false;
  for (const bytes of linesOf(file)) {
    number += 1;
    require(!ended, "nothing after the end");
    const line = new Reader(attempt(() => decoder.decode(bytes), "UTF-8")).whole();
    require(isObject(line), "a JSON object");
    if (number === 1) walk.manifest(line, known);
    else ended = walk.line(line);
  }
  require(ended, "the end");
  return {
    events: Number(walk.events),
    conversations: walk.heads.size,
    ...walk.found,
    complete: walk.complete,
    origin: walk.note.origin,
    size: Number(walk.note.size),
    root: walk.note.root.toString("hex"),
    key: walk.key.text,
  };
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(JSON.stringify(verify(readFileSync(argv[2]), argv.slice(3))));
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    console.error(`NOT intact: ${error.message}`);
    exit(1);
  }
}
