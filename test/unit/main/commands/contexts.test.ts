import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { type AddressFlags, chooseContext } from "../../../../src/main/commands/client/address-flags.js";
import { changeContexts, readContexts } from "../../../../src/main/commands/contexts/contexts.js";
import { CLI } from "../../../support/daemon.js";

const home = mkdtempSync(join(tmpdir(), "imagestore-contexts-"));
const file = join(home, "imagestore", "contexts.json");
const token = join(home, "agent.token");
const env = { ...process.env, XDG_CONFIG_HOME: home, IMAGESTORE_URL: "", IMAGESTORE_CONTEXT: "" };
afterAll(() => rmSync(home, { recursive: true, force: true }));
beforeEach(() => {
  rmSync(dirname(file), { recursive: true, force: true });
  writeFileSync(token, "ist_secret\n");
});

function run(words: string, more: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...words.split(" ")], {
    env: { ...env, ...more },
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

/** What a command prints, which succeeds. */
function shown(words: string, more: NodeJS.ProcessEnv = {}): string {
  const { status, stdout, stderr } = run(words, more);
  expect({ words, status, stderr }).toEqual({ words, status: 0, stderr: "" });
  return stdout;
}

describe("imagestore context", () => {
  test("adds, lists, uses, shows and removes", () => {
    expect(shown("context list")).toBe("no contexts: imagestore context add NAME --url URL makes one\n");
    expect(shown("context show")).toContain("the configuration of this machine says where the daemon is");
    shown(`context add lab --url http://lab:19999 --token-file ${token}`);
    shown("context add here --url unix:/run/imagestore/imagestore.sock --use");
    expect(shown("context list -H")).toBe(
      `*\there\tunix:/run/imagestore/imagestore.sock\t-\t-\t-\n\tlab\thttp://lab:19999\t${token}\t-\t-\n`,
    );
    shown("context use lab");
    expect(JSON.parse(shown("context show --json"))).toEqual({
      contexts: [{ name: "lab", url: "http://lab:19999", tokenFile: token, current: true }],
    });
    expect(shown("context show -H", { IMAGESTORE_CONTEXT: "here" })).toContain("\there\t");
    shown("context remove lab");
    expect(shown("context list -H")).toBe("\there\tunix:/run/imagestore/imagestore.sock\t-\t-\t-\n");
    expect(shown("context show")).toContain("no context is used");
    shown("context use here");
    shown("context use --none");
    expect(shown("context show")).toContain("no context is used");
  });

  test("only its owner may read the file, and half a file is never there", () => {
    shown("context add a --url http://a:1");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(file)).mode & 0o777).toBe(0o700);
    expect(readdirSync(dirname(file))).toEqual(["contexts.json"]);
  });

  test("many at once lose nothing", async () => {
    const names = ["a", "b", "c"];
    const children = names.map((name) =>
      spawn(process.execPath, [CLI, "context", "add", name, "--url", `http://${name}:1`], {
        env,
        stdio: "inherit",
      }),
    );
    expect(await Promise.all(children.map(async (child) => (await once(child, "exit"))[0]))).toEqual(
      names.map(() => 0),
    );
    expect(shown("context list -H").match(/http:/g)).toHaveLength(names.length);
  });

  test("keeps a symbolic link", () => {
    shown("context add a --url http://a:1");
    const elsewhere = join(home, "dotfiles.json");
    writeFileSync(elsewhere, readFileSync(file), { mode: 0o600 });
    rmSync(file);
    symlinkSync(elsewhere, file);
    shown("context add b --url http://b:1");
    expect(lstatSync(file).isSymbolicLink()).toBe(true);
    expect(readFileSync(elsewhere, "utf8")).toContain("http://b:1");
  });

  test.each([
    ["{", /contexts\.json: no contexts can be read: .*JSON/],
    ["[]", /it has no list `contexts`/],
    ['{"contexts":[{"name":"a"}]}', /contexts\[0\] is no context/],
    ['{"contexts":[{"name":"a","url":"http://a:1"},{"name":"a","url":"http://b:1"}]}', /it has a twice/],
    ['{"contexts":[],"current":"a"}', /its `current` is none of its contexts/],
  ])("a damaged file stays as it is, and says so: %s", async (text, line) => {
    mkdirSync(dirname(file));
    writeFileSync(file, text, { mode: 0o600 });
    expect(() => readContexts(file)).toThrow(line);
    await expect(changeContexts(file, (before) => before)).rejects.toThrow(line);
    expect(readFileSync(file, "utf8")).toBe(text);
  });

  test("a file that others may change is not taken", () => {
    shown("context add a --url http://a:1");
    chmodSync(file, 0o666);
    expect(run("pool status --context a")).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/others may change it: chmod 600/),
    });
  });

  test("a wrong word gets the nearest name", () => {
    shown("context add production --url http://p:1");
    expect(run("pool status --context productoin")).toEqual({
      ...{ status: 4, stdout: "" },
      stderr: "imagestore: there is no context productoin: did you mean production?\n",
    });
    expect(run("context add production --url http://p:2")).toMatchObject({ status: 5 });
    expect(run("context add a/b --url http://p:2")).toMatchObject({ status: 1, stderr: /letters, digits/ });
    expect(run("context add a --url http://any:secret@p:2")).toMatchObject({
      ...{ status: 1, stderr: /must have no user and no password/ },
    });
    expect(run(`context add a --url http://p:2 --token-file ${home}/none`)).toMatchObject({ status: 2 });
    expect(existsSync(`${file}.lock`)).toBe(false);
  });
});

describe("the daemon that a command asks", () => {
  test("comes from the flags, then the environment, then the context", async () => {
    await changeContexts(file, () => ({
      current: "a",
      contexts: ["a", "b"].map((name) => ({ name, url: `http://${name}:1` })),
    }));
    const url = new URL("http://c:1");
    const chosen = (flags: AddressFlags, more: NodeJS.ProcessEnv) =>
      chooseContext(flags, { ...env, ...more })?.name;
    const both = { IMAGESTORE_URL: "http://c:1", IMAGESTORE_CONTEXT: "b" };
    expect(chosen({}, {})).toBe("a");
    expect(chosen({}, { IMAGESTORE_CONTEXT: "b" })).toBe("b");
    expect(chosen({}, both)).toBeUndefined();
    expect(chosen({ context: "a" }, both)).toBe("a");
    expect(chosen({ url }, both)).toBeUndefined();
    expect(() => chosen({ url, context: "a" }, {})).toThrow("give --url or --context, not both");
  });

  test("is asked with the context's token", () => {
    shown(`context add a --url http://127.0.0.1:11 --token-file ${token} --use`);
    expect(run("pool status").stderr).toBe(
      "imagestore: no answer from http://127.0.0.1:11: nothing listens there\n",
    );
    writeFileSync(token, "two words\n");
    expect(run("pool status")).toMatchObject({ status: 2, stderr: expect.stringContaining(token) });
  });
});
