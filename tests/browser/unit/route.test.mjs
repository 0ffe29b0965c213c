// Where an address leads: anything may stand in it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { path, routeOf } from "../../../bin/node/assets/route.js";

test("every view has its place", () => {
  for (const view of ["cluster", "account", "channels"]) assert.deepEqual(routeOf(`#/${view}`), { view, label: null });
  for (const label of ["#general", "@ann", "#a.b-c_d"]) assert.deepEqual(routeOf(path(label)), { view: "conversation", label });
});

test("names are lower case, however they are written", () => {
  assert.equal(routeOf("#/c/General").label, "#general");
  assert.equal(routeOf("#/d/ANN").label, "@ann");
});

test("what leads nowhere leads to the list", () => {
  for (const hash of ["", "#", "#/", "#/c", "#/c/", "#/c/100%", "#/%/x", "#/d/%ff", "#/constructor", "#/constructor/x", "#/nowhere/x"]) {
    assert.deepEqual(routeOf(hash), { view: "list", label: null }, hash);
  }
});
