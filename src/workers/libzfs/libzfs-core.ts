import type { LibraryCall, Returned } from "./library-call.js";
import {
  loadNativeFunctions,
  type NativeFunction,
  type NativeFunctions,
  type Pointer,
} from "./native-functions.js";
import { createNvlists, type Nvlists } from "./nvlists.js";

/** The library in this process. */
export interface LibzfsCore {
  /** Makes a call, on another thread. Rejects only if it could not be made. */
  perform(call: LibraryCall): Promise<Returned>;
}

/** The limits of `zfs program`. A batch of names takes a small part of either. */
const MAX_INSTRUCTIONS = 10_000_000n;
const MAX_MEMORY_BYTES = 10n * 1024n * 1024n;

const ENOSYS = 38;

/** Of `enum lzc_dataset_type`. */
const DATASET_TYPES = { filesystem: 2, volume: 3 } as const;

/** Opens the library, and /dev/zfs by it. @returns why that fails, in a line. */
export function openLibzfsCore(): LibzfsCore | string {
  const functions = loadNativeFunctions();
  if (typeof functions === "string") return functions;
  const errno = Number(functions.core.libzfs_core_init());
  if (errno !== 0) return `libzfs_core can't open /dev/zfs: errno ${errno}`;
  return createLibzfsCore(functions);
}

function createLibzfsCore(functions: NativeFunctions): LibzfsCore {
  const { core } = functions;
  const lists = createNvlists(functions);

  return {
    perform(call) {
      switch (call.name) {
        case "lzc_channel_program":
        case "lzc_channel_program_nosync":
          return lists.with({ argv: call.names }, async (args) => {
            const result: [Pointer] = [null];
            const limits = [MAX_INSTRUCTIONS, MAX_MEMORY_BYTES];
            const errno = await made(core[call.name], call.pool, call.program, ...limits, args, result);
            return returned(errno, {}, lists.takeString(result[0], "return"));
          });
        case "lzc_destroy_snaps":
          return withErrors(lists, flagsOf(call.names), (list, errors) =>
            made(core[call.name], list, 0, errors),
          );
        case "lzc_hold": {
          const named = Object.fromEntries(call.holds.map(({ name, tag }) => [name, tag] as const));
          // -1: the holds stay when this process ends.
          return withErrors(lists, named, (list, errors) => made(core[call.name], list, -1, errors));
        }
        case "lzc_release": {
          const tags = (tag: string) => ({ [tag]: true }) as const;
          const named = Object.fromEntries(call.holds.map(({ name, tag }) => [name, tags(tag)] as const));
          return withErrors(lists, named, (list, errors) => made(core[call.name], list, errors));
        }
        case "lzc_rollback_to":
          return made(core[call.name], call.dataset, call.snapshot).then(returned);
        case "lzc_clone":
          return lists
            .with(call.properties, (list) => made(core[call.name], call.target, call.origin, list))
            .then(returned);
        case "lzc_create": {
          const type = DATASET_TYPES[call.type];
          return lists
            .with(call.properties, (list) => made(core[call.name], call.target, type, list, null, 0))
            .then(returned);
        }
        case "lzc_destroy":
          return made(core[call.name], call.target).then(returned);
        case "lzc_promote":
          return made(core[call.name], call.target, null, 0).then(returned);
        case "lzc_rename":
          return made(core[call.name], call.from, call.to).then(returned);
        case "lzc_snapshot":
          return withErrors(lists, flagsOf(call.names), (list, errors) =>
            made(core[call.name], list, null, errors),
          );
      }
    },
  };
}

const flagsOf = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, true] as const));

const returned = (errno: number, errors: Readonly<Record<string, number>> = {}, value = ""): Returned => ({
  kind: "returned",
  errno,
  errors,
  value,
});

/** A call whose argument is a list of names, and which gives back a list of their errors. */
function withErrors(
  lists: Nvlists,
  named: Parameters<Nvlists["with"]>[0],
  call: (list: Pointer, errors: [Pointer]) => Promise<number>,
): Promise<Returned> {
  return lists.with(named, async (list) => {
    const errors: [Pointer] = [null];
    const errno = await call(list, errors);
    return returned(errno, lists.takeErrors(errors[0]));
  });
}

/** Calls a function on another thread. @returns its errno; ENOSYS if the library has no such function. */
function made(native: NativeFunction | undefined, ...args: readonly unknown[]): Promise<number> {
  if (native === undefined) return Promise.resolve(ENOSYS);
  return new Promise((resolve, reject) => {
    native.async(...args, (error: unknown, errno: unknown) =>
      error ? reject(error) : resolve(Number(errno)),
    );
  });
}
