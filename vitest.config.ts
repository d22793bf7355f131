import { defineConfig } from "vitest/config";

/**
 * unit: no ZFS needed. conformance-*: HTTP only, against a daemon on pools in folders
 * (embedded) or on real OpenZFS (or the server of IMAGESTORE_URL). embedded: faults and streams
 * of embedded pools. openzfs: faults, streams and the whole round, inside the VM too.
 * The last three share one VM and run one file at a time.
 */
const onOpenZfs = {
  testTimeout: 120_000,
  hookTimeout: 600_000,
  fileParallelism: false,
  // An emulated VM on a busy CI machine may be slow for once; the report shows every retry.
  retry: process.env.CI ? 1 : 0,
  pool: "forks" as const,
};

export default defineConfig({
  test: {
    reporters: ["default"],
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts"],
          testTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "conformance-embedded",
          testTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          include: ["test/conformance/**/*.test.ts"],
          globalSetup: ["test/support/conformance-embedded.ts"],
        },
      },
      {
        test: {
          name: "embedded",
          testTimeout: 60_000,
          fileParallelism: false,
          pool: "forks" as const,
          sequence: { groupOrder: 2 },
          include: ["test/embedded/**/*.test.ts"],
        },
      },
      {
        test: {
          ...onOpenZfs,
          name: "conformance-uws",
          sequence: { groupOrder: 3 },
          include: ["test/conformance/**/*.test.ts"],
          globalSetup: ["test/support/conformance-uws.ts"],
        },
      },
      {
        test: {
          ...onOpenZfs,
          name: "conformance-node",
          sequence: { groupOrder: 4 },
          include: ["test/conformance/**/*.test.ts"],
          globalSetup: ["test/support/conformance-node.ts"],
        },
      },
      {
        test: {
          ...onOpenZfs,
          name: "openzfs",
          sequence: { groupOrder: 5 },
          include: ["test/openzfs/**/*.test.ts"],
          globalSetup: ["test/support/openzfs.ts"],
        },
      },
    ],
  },
});
