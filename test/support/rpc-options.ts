import { createMethodTable } from "../../src/protocol/json-rpc/methods/table.js";
import { succeed } from "../../src/protocol/storage/failures.js";
import type { PoolName } from "../../src/protocol/storage/names.js";

/** What unit tests of JSON-RPC need of a daemon: one pool, where every list is empty. */
export const rpcOptions = {
  pools: ["tank" as PoolName],
  methods: createMethodTable(),
  discover: () => Buffer.from("{}"),
  batchLength: 10,
  batchLists: 10,
  run: () => succeed([]),
  runOnTerms: async () => ({ outcome: succeed("null") }),
  runOnNode: () => succeed([]),
};
