import { createRequire } from "node:module";
import { messageOf } from "../../protocol/storage/caught-error.js";

/** An address in the runner's memory, such as that of an nvlist. Null: none. */
export type Pointer = unknown;

/** A function of a library. `async` calls it on a thread of libuv. */
export interface NativeFunction {
  (...args: readonly unknown[]): unknown;
  async(...args: readonly unknown[]): void;
}

/** What is used of the package koffi. Where it isn't installed, its own types are missing too. */
interface Koffi {
  load(path: string): { func(prototype: string): NativeFunction };
  config(settings: { readonly max_async_calls: number; readonly async_heap_size: number }): unknown;
}

/** The libraries by their sonames, which change when a function changes, and what is called of them. */
const LIBRARIES = {
  "libnvpair.so.3": {
    fnvlist_alloc: "void *fnvlist_alloc()",
    fnvlist_free: "void fnvlist_free(void *list)",
    fnvlist_add_boolean: "void fnvlist_add_boolean(void *list, const char *name)",
    fnvlist_add_nvlist: "void fnvlist_add_nvlist(void *list, const char *name, void *value)",
    fnvlist_add_string: "void fnvlist_add_string(void *list, const char *name, const char *value)",
    fnvlist_add_string_array:
      "void fnvlist_add_string_array(void *list, const char *name, const char **values, uint count)",
    fnvlist_add_uint64: "void fnvlist_add_uint64(void *list, const char *name, uint64_t value)",
    nvlist_lookup_string: "int nvlist_lookup_string(void *list, const char *name, _Out_ const char **value)",
    nvlist_next_nvpair: "void *nvlist_next_nvpair(void *list, void *pair)",
    nvpair_name: "const char *nvpair_name(void *pair)",
    nvpair_value_int32: "int nvpair_value_int32(void *pair, _Out_ int32_t *value)",
  },
  "libzfs_core.so.3": {
    libzfs_core_init: "int libzfs_core_init()",
    lzc_channel_program:
      "int lzc_channel_program(const char *pool, const char *program, uint64_t instructions, uint64_t memory, void *args, _Out_ void **result)",
    lzc_channel_program_nosync:
      "int lzc_channel_program_nosync(const char *pool, const char *program, uint64_t instructions, uint64_t memory, void *args, _Out_ void **result)",
    lzc_clone: "int lzc_clone(const char *target, const char *origin, void *properties)",
    lzc_create: "int lzc_create(const char *target, int type, void *properties, void *key, uint key_bytes)",
    lzc_destroy: "int lzc_destroy(const char *target)",
    lzc_destroy_snaps: "int lzc_destroy_snaps(void *snapshots, int defer, _Out_ void **errors)",
    lzc_hold: "int lzc_hold(void *holds, int cleanup_fd, _Out_ void **errors)",
    lzc_release: "int lzc_release(void *holds, _Out_ void **errors)",
    lzc_rollback_to: "int lzc_rollback_to(const char *dataset, const char *snapshot)",
  },
} as const;

/** Of libzfs_core, what commands do where a machine's library lacks it. */
const OPTIONAL = {
  lzc_promote: "int lzc_promote(const char *clone, char *conflict, int conflict_bytes)",
  lzc_rename: "int lzc_rename(const char *from, const char *to)",
  lzc_snapshot: "int lzc_snapshot(void *snapshots, void *properties, _Out_ void **errors)",
} as const;

type FunctionsOf<Library extends keyof typeof LIBRARIES> = {
  readonly [Name in keyof (typeof LIBRARIES)[Library]]: NativeFunction;
};

export interface NativeFunctions {
  readonly nvpair: FunctionsOf<"libnvpair.so.3">;
  readonly core: FunctionsOf<"libzfs_core.so.3"> & {
    readonly [Name in keyof typeof OPTIONAL]: NativeFunction | undefined;
  };
}

/** More than all slots of a pool together, so that the slots alone limit the calls. */
const MAX_CALLS = 4096;
/** Room for the names in one call's argument, which koffi copies there. */
const CALL_HEAP_BYTES = 1024 * 1024;

/**
 * Loads both libraries and finds every function of them. To be called in the runner only: a function
 * that the machine's library has with another meaning would crash the process.
 * @returns why that fails, in a line.
 */
export function loadNativeFunctions(): NativeFunctions | string {
  const koffi = loadKoffi();
  if (typeof koffi === "string") return `the package koffi can't be loaded (${koffi})`;
  try {
    koffi.config({ max_async_calls: MAX_CALLS, async_heap_size: CALL_HEAP_BYTES });
    return {
      nvpair: functionsOf(koffi, "libnvpair.so.3"),
      core: { ...functionsOf(koffi, "libzfs_core.so.3"), ...optionalFunctions(koffi) },
    };
  } catch (error) {
    return firstLine(error);
  }
}

function loadKoffi(): Koffi | string {
  try {
    return createRequire(import.meta.url)("koffi");
  } catch (error) {
    return firstLine(error);
  }
}

/** Throws if the library, or a function of it, is missing; the message names it. */
function functionsOf<Library extends keyof typeof LIBRARIES>(
  koffi: Koffi,
  library: Library,
): FunctionsOf<Library> {
  const loaded = loadLibrary(koffi, library);
  const prototypes = Object.entries<string>(LIBRARIES[library]);
  const found = prototypes.map(([name, prototype]) => [name, loaded.func(prototype)]);
  return Object.fromEntries(found);
}

function optionalFunctions(koffi: Koffi): { [Name in keyof typeof OPTIONAL]: NativeFunction | undefined } {
  const loaded = loadLibrary(koffi, "libzfs_core.so.3");
  const find = (prototype: string) => {
    try {
      return loaded.func(prototype);
    } catch {
      return undefined;
    }
  };
  const { lzc_promote, lzc_rename, lzc_snapshot } = OPTIONAL;
  return {
    lzc_promote: find(lzc_promote),
    lzc_rename: find(lzc_rename),
    lzc_snapshot: find(lzc_snapshot),
  };
}

function loadLibrary(koffi: Koffi, library: string): ReturnType<Koffi["load"]> {
  try {
    return koffi.load(library);
  } catch (error) {
    throw new Error(`${library}: ${firstLine(error)}`);
  }
}

function firstLine(error: unknown): string {
  return messageOf(error).split("\n")[0] ?? "";
}
