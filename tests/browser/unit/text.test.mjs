// Texts of other people: what becomes a link, and what is made visible.

import assert from "node:assert/strict";
import { test } from "node:test";

import { harmless, initials, parts, remarks, survives, tint, TINTS, visible } from "../../../bin/node/assets/text.js";

const links = (text) => parts(text).filter(({ href }) => href !== null).map(({ href }) => href);
const plain = (text) => parts(text).map((part) => part.text).join("");

test("only web addresses become links", () => {
  const none = ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:x", "//a.example", "www.a.example", "http://"];
  for (const text of none) assert.deepEqual(links(text), [], text);
  assert.deepEqual(links("HTTPS://A.example/X"), ["https://a.example/X"]);
});

test("punctuation after a link is the sentence's", () => {
  const cases = [
    ["see https://a.example/b.", "https://a.example/b"],
    ["(https://a.example/b)", "https://a.example/b"],
    ["https://a.example/b_(c)", "https://a.example/b_(c)"],
    ["https://a.example/?q=1&r=2!", "https://a.example/?q=1&r=2"],
    ["<https://a.example/>", "https://a.example/"],
  ];
  for (const [text, href] of cases) assert.deepEqual(links(text), [href], text);
});

test("the parts are the text, all of it and nothing else", () => {
  const texts = ["", "a", "https://a.example", "x https://a.example/, y http://b.example. z", "https://[::1]:1/ https://%"];
  for (const text of texts) assert.equal(plain(text), text);
});

test("a long text takes no longer than it should", () => {
  const texts = ["https://".repeat(2_048), `https://a.example/${"(".repeat(16_000)}`, `https://a.example/${".".repeat(16_000)}`, `https://a.example/${"()".repeat(8_000)}`];
  for (const text of texts) {
    const start = performance.now();
    assert.equal(plain(text), text);
    assert.ok(performance.now() - start < 250, `${text.slice(0, 30)}: ${performance.now() - start} ms`);
  }
});

test("what turns or hides text is shown by its number", () => {
  assert.equal(harmless("photo\u202egnp.exe"), "photo\u27e8U+202E\u27e9gnp.exe");
  assert.equal(harmless("a\u200d\tb\nc\r\nd"), "a\u200d\tb\nc\nd", "lines, tabs and joined emoji stay");
  assert.equal(visible("a\u200bb\u00adc"), "a\u27e8U+200B\u27e9b\u00adc");
  for (let code = 0x202a; code <= 0x202e; code += 1) assert.doesNotMatch(harmless(String.fromCodePoint(code)), /[\u202a-\u202e]/);
  for (let code = 0x2066; code <= 0x2069; code += 1) assert.doesNotMatch(harmless(String.fromCodePoint(code)), /[\u2066-\u2069]/);
  for (let code = 0; code < 0x20; code += 1) assert.doesNotMatch(visible(String.fromCodePoint(code)), /[\u0000-\u0008\u000b-\u001f]/);
});

test("a name has letters and a tint of its own", () => {
  assert.equal(initials("@jonas"), "JO");
  assert.equal(initials("ann.lee"), "AL");
  assert.equal(initials(""), "?");
  const tints = new Set(Array.from({ length: 200 }, (_, place) => tint(`user-${place}`)));
  assert.equal(tints.size, TINTS, "every tint is used");
});

test("losses are said in words", () => {
  assert.equal(survives([], [1]), "survives no further loss");
  assert.equal(survives([[1], [2], [3]], [1, 2, 3]), "survives the loss of any 1 node");
  assert.equal(survives([[2]], [1, 2, 3]), "survives the loss of node 2; not of nodes 1 or 3");
});

test("what one may do something about is told node by node", () => {
  const node = { reachable: true, part: "voter", lag: 0, draining: false, faulty: 0 };
  const told = (...nodes) => remarks({ nodes, joiners: [] }).map(({ text }) => text);
  assert.deepEqual(told({ ...node, id: 1 }), [], "all is well");
  const learner = { ...node, part: "learner", id: 6 };
  assert.match(told({ ...learner, lag: 9 })[0], /^Node 6 learns, 9 entries behind/);
  assert.match(told(learner)[0], /^Node 6 has caught up/);
  assert.match(told({ ...learner, reachable: false })[0], /not there: start it/);
  assert.match(told({ ...node, id: 2, faulty: 1 })[0], /^Node 2 cannot read 1 entry of its log/);
  const [drained] = remarks({ nodes: [{ ...node, id: 1, draining: true }] });
  assert.equal(drained.command, "chatctl cluster drain 1 --undo");
  const [joiner] = remarks({ nodes: [], joiners: [7] });
  assert.match(joiner.command, /^chatctl cluster add 7 --peer/);
});
