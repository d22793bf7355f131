import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const SCRIPT = fileURLToPath(new URL("../../openzfs-vm/join-sources.mjs", import.meta.url));
const MAKEFILE = "zfs-objs := of the module\nUBSAN_SANITIZE_checked.o := n\n";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "imagestore-join-"));
  writeFileSync(join(folder, "Kbuild"), MAKEFILE);
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Joins these sources. @returns the objects of the module then, and the text of each joined file */
function joined(sources: Readonly<Record<string, string>>, ...options: string[]) {
  for (const [path, text] of Object.entries(sources)) {
    mkdirSync(join(folder, dirname(path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const objects = [...Object.keys(sources).map((path) => path.replace(/\.c$/, ".o")), "fast.o"];
  const input = `Kbuild zfs ${objects.join(" ")}\nKbuild spl slow.o\n`;
  execFileSync(process.execPath, [SCRIPT, ...options, folder], { input });
  const makefile = readFileSync(join(folder, "Kbuild"), "utf8");
  const [, listed = ""] = /^zfs-objs := (?!of the)(.*)$/m.exec(makefile) ?? [];
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => /joined-.*\.c$/.test(path))
    .map((path) => [path, readFileSync(join(folder, path), "utf8")]);
  return { makefile, objects: listed.split(" "), files: Object.fromEntries(files) };
}

describe("joined sources of a kernel module", () => {
  test("are included by one file, and the module has its object instead of theirs", () => {
    const { objects, files, makefile } = joined({ "a.c": "int a;\n", "os/b.c": "int b;\n" });
    expect(files).toEqual({ "joined-zfs-1.c": '#include "a.c"\n#include "os/b.c"\n' });
    expect(objects).toEqual(["joined-zfs-1.o", "fast.o"]);
    expect(makefile).toContain("\nzfs-y :=\nspl-objs := slow.o\nspl-y :=\n");
  });

  test("have no name of their own in common", () => {
    const common = [
      "static int size = 1;",
      "static void\nopen_it(int a)\n{\n}",
      "typedef struct pair { int a; } pair_t;",
      "typedef struct { int a; } nameless_t;",
      "static struct { int a; } state;",
      "enum { FIRST, SECOND = 2 };",
      "static const char *names[] = { 0 };",
    ];
    const twice = ["a", "b"].flatMap((name) => common.map((line, index) => [`${name}${index}.c`, line]));
    const including = (name: string) =>
      common.map((_line, index) => `#include "${name}${index}.c"\n`).join("");
    expect(joined(Object.fromEntries(twice)).files).toEqual({
      "joined-zfs-1.c": including("a"),
      "joined-zfs-2.c": including("b"),
    });
    // A parameter, a comment and what is inside a function are no names of the file.
    const inner = "/* static int size; */ static void f(int size) { static int size; }";
    expect(joined({ "a.c": "static int size;", "b.c": inner }).objects).toEqual(["joined-zfs-1.o", "fast.o"]);
  });

  test("leave no macro of one to the next", () => {
    const { files } = joined({ "a.c": "#include <x.h>\n#define LIMIT 1\n", "b.c": "int LIMIT;\n" });
    expect(files["joined-zfs-1.c"]).toBe(
      '#pragma push_macro("LIMIT")\n#include "a.c"\n#pragma pop_macro("LIMIT")\n#include "b.c"\n',
    );
  });

  test("are none that change a header, have flags of their own, or are of zstd", () => {
    const { objects } = joined({
      "header.c": "#define CREATE_TRACE_POINTS\n#include <trace.h>\n",
      "checked.c": "int c;\n",
      "zstd/z.c": "int z;\n",
      "a.c": "int a;\n",
      "icp/aes.c": "int aes;\n",
    });
    expect(objects).toEqual(["header.o", "checked.o", "zstd/z.o", "a.o", "icp/aes.o", "fast.o"]);
  });

  test("of icp are joined apart, with the headers that only it has", () => {
    const { files, makefile } = joined({ "icp/algs/a.c": "int a;\n", "icp/b.c": "int b;\n" });
    expect(files).toEqual({ "icp/joined-zfs-1.c": '#include "../icp/algs/a.c"\n#include "../icp/b.c"\n' });
    expect(makefile).toContain("\n$(obj)/icp/joined-zfs-1.o : ccflags-y += -I$(icp_include)\n");
  });

  test("are taken apart again", () => {
    const sources = { "a.c": "int a;\n", "b.c": "int b;\n" };
    expect(joined(sources).makefile).not.toBe(MAKEFILE);
    expect(joined(sources, "--undo").makefile).toBe(MAKEFILE);
  });
});

test("answers for a kernel name what configure would define, a line each", () => {
  const answers = fileURLToPath(new URL("../../openzfs-vm/kernel-answers/", import.meta.url));
  const files = readdirSync(answers);
  expect(files.map((name) => /-zfs-(\d\.\d)\./.exec(name)?.[1]).sort()).toEqual(["2.1", "2.3", "2.4"]);
  for (const name of files) {
    const lines = readFileSync(join(answers, name), "utf8").trimEnd().split("\n");
    expect(lines.filter((line) => !/^[A-Z]\w+ \S+$/.test(line))).toEqual([]);
    const [, version = "", release = ""] = /-zfs-([\d.]+)-(\S+)$/.exec(name) ?? [];
    expect(lines).toContain(`ZFS_META_VERSION "${version}"`);
    expect(lines).toContain(`ZFS_META_RELEASE "${release}"`);
  }
});
