import { expect, test } from "vitest";

import { groupsOf, shelves } from "../../src/doc/examples";

const example = (name: string, group: string, description = "") => ({ name, title: name, group, description, picture: true });
const all = [
  example("sketch", "Text to image", "four pictures from one prompt"),
  example("edges", "Control", "edges steer another prompt"),
  example("hints", "Control", "what ControlNets are shown"),
  example("odd", ""),
];

function names(query: string, group: string | null = null): string[] {
  return shelves(all, query, group).flatMap(({ examples }) => examples.map(({ name }) => name));
}

test("groups come in the order of the examples, each once", () => {
  expect(groupsOf(all)).toEqual(["Text to image", "Control", ""]);
  expect(shelves(all, "").map(({ group }) => group)).toEqual(["Text to image", "Control", ""]);
});

test.each([
  ["", ["sketch", "edges", "hints", "odd"]],
  ["  ", ["sketch", "edges", "hints", "odd"]],
  ["PROMPT", ["sketch", "edges"]],
  ["steer prompt", ["edges"]],
  ["control", ["edges", "hints"]],
  ["sketch edges", []],
])("every word of %j is found in what is shown", (query, expected) => {
  expect(names(query)).toEqual(expected);
});

test("a group can be shown alone, searched or not", () => {
  expect(names("", "Control")).toEqual(["edges", "hints"]);
  expect(names("steer", "Control")).toEqual(["edges"]);
  expect(names("sketch", "Control")).toEqual([]);
  expect(names("", "")).toEqual(["odd"]);
});
