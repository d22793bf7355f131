import { describe, expect, test } from "vitest";
import {
  coversName,
  isAbovePattern,
  matchesName,
  namePatternProblem,
} from "../../../../src/protocol/access/name-patterns.js";

describe("a pattern of names", () => {
  test.each([
    ["guests/team-a-*", "guests/team-a-1"],
    ["guests/team-a-*", "guests/team-a-"],
    ["guests/team-a-*", "guests/team-a-1/disk-0"],
    ["guests/team-a-*", "guests/team-a-1/disk-0@s"],
    ["guests/team-a-*", "guests/team-a-1@s"],
    ["guests/*/disk-0", "guests/g/disk-0@s"],
    ["*", "anything/below"],
    ["a*b*c", "abc"],
    ["a*b*c", "axxbyyc/d"],
    ["a*bb*b", "abbb"],
  ])("%s covers %s", (pattern, name) => expect(matchesName(pattern, name)).toBe(true));

  test.each([
    ["guests/team-a-*", "guests/team-b-1"],
    ["guests/team-a-*", "guests"],
    ["guests/team-a-*", "guests/team-a"],
    ["guests/team-a", "guests/team-a1"],
    ["guests/team-a", "guests@team-a"],
    ["guests/team-a-*", "guests/x@team-a-1"],
    ["guests/team-a-*", "other/guests/team-a-1"],
    ["guests/*/disk-0", "guests/a/b/disk-0"],
    ["guests/g", "guests/G"],
    ["a.c", "abc"],
    ["a*bb*b", "abb"],
    ["aa*aa", "aaa"],
  ])("%s does not cover %s", (pattern, name) => expect(matchesName(pattern, name)).toBe(false));

  test.each(["", "/a", "a/", "a//b", "a@s", "a/\u0000", "a?", "ä"])("may not be %j", (pattern) =>
    expect(namePatternProblem(pattern)).toContain("such as guests/team-a-*"),
  );

  test.each(["*", "tank*"])("%s covers what is in a pool, and not the pool or its snapshots", (pattern) => {
    expect(
      ["tank/tank1", "tank/tank1@s", "tank", "tank@s"].filter((name) => coversName([pattern], name)),
    ).toEqual(["tank/tank1", "tank/tank1@s"]);
  });

  test("lies below the datasets that it begins with", () => {
    expect(isAbovePattern("guests", "guests/team-a-*")).toBe(true);
    expect(isAbovePattern("guests/g1", "guests/*/disk-0")).toBe(true);
    expect(isAbovePattern("guests/team-a-1", "guests/team-a-*")).toBe(false);
    expect(isAbovePattern("images", "guests/team-a-*")).toBe(false);
  });
});
