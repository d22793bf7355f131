import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** A busy machine may be late now and then. The report shows every retry. */
const retry = process.env.CI ? 1 : 0;

/** A daemon's log comes through a pipe of its own: a line may be read after the reply that it was written before. */
const poll = { timeout: 30_000, interval: 20 };

/**
 * - unit: needs no ZFS.
 * - conformance-embedded, -token, -uws, -node: HTTP only, against a daemon. Its pools are on OpenZFS (uws) or in
 *   folders (the others; node with CONFORMANCE_NODE_ON=openzfs on OpenZFS). IMAGESTORE_URL makes
 *   the last two test the server that it names.
 * - embedded: faults and streams of embedded pools.
 * - browser: pages of other sites in a real browser; pools in folders.
 * - fuzz: random requests; pools in folders.
 * - openzfs: faults and streams of OpenZFS pools, and the whole round inside the VM.
 * The projects on OpenZFS share one VM, so their files run one after another.
 */
const onOpenZfs = {
  testTimeout: 120_000,
  hookTimeout: 600_000,
  fileParallelism: false,
  retry,
  expect: { poll },
  pool: "forks" as const,
};

/** A hook that is slow on a busy machine must not lose its whole file, and three parts of .ci/run run at once. */
const onBusyMachines = { testTimeout: 120_000, hookTimeout: 120_000, retry, expect: { poll } };

/** The thread of Node's own SQLite runs a compiled file, also where a test imports the sources. */
const compiledThread = {
  alias: [
    {
      find: /^.*\/threaded-sqlite\.js$/,
      replacement: fileURLToPath(new URL("compiled/workers/sqlite/threaded-sqlite.js", import.meta.url)),
    },
  ],
};

export default defineConfig({
  test: {
    reporters: ["default", "./scripts/parts/tally-reporter.mjs"],
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts"],
          ...onBusyMachines,
          ...compiledThread,
          // No module has state (test/unit/structure.test.ts). In a process of its own each file takes
          // three quarters of a second of processor time more.
          isolate: false,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "conformance-embedded",
          ...onBusyMachines,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          include: ["test/conformance/**/*.test.ts"],
          globalSetup: ["test/support/conformance-embedded.ts"],
        },
      },
      {
        test: {
          name: "conformance-token",
          ...onBusyMachines,
          fileParallelism: false,
          sequence: { groupOrder: 9 },
          include: ["test/conformance/**/*.test.ts"],
          globalSetup: ["test/support/conformance-token.ts"],
        },
      },
      {
        test: {
          name: "embedded",
          ...onBusyMachines,
          fileParallelism: false,
          pool: "forks" as const,
          sequence: { groupOrder: 2 },
          include: ["test/embedded/**/*.test.ts"],
        },
      },
      {
        test: {
          name: "faults",
          ...onBusyMachines,
          fileParallelism: false,
          pool: "forks" as const,
          sequence: { groupOrder: 7 },
          include: ["test/faults/**/*.test.ts"],
        },
      },
      {
        test: {
          name: "fuzz",
          ...onBusyMachines,
          fileParallelism: false,
          pool: "forks" as const,
          sequence: { groupOrder: 8 },
          include: ["test/fuzz/**/*.test.ts"],
        },
      },
      {
        test: {
          name: "browser",
          ...onBusyMachines,
          fileParallelism: false,
          pool: "forks" as const,
          sequence: { groupOrder: 3 },
          include: ["test/browser/**/*.test.ts"],
        },
      },
      {
        test: {
          ...onOpenZfs,
          name: "conformance-uws",
          sequence: { groupOrder: 4 },
          include: ["test/conformance/**/*.test.ts"],
          globalSetup: ["test/support/conformance-uws.ts"],
        },
      },
      {
        test: {
          ...onOpenZfs,
          name: "conformance-node",
          sequence: { groupOrder: 5 },
          include: ["test/conformance/**/*.test.ts"],
          globalSetup: ["test/support/conformance-node.ts"],
        },
      },
      {
        test: {
          ...onOpenZfs,
          name: "openzfs",
          sequence: { groupOrder: 6 },
          include: ["test/openzfs/**/*.test.ts"],
          globalSetup: ["test/support/openzfs.ts"],
        },
      },
    ],
  },
});
