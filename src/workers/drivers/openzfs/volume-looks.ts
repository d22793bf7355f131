import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { DatasetName } from "../../../protocol/storage/names.js";
import { isBookmarkName } from "../../../protocol/storage/send-terms.js";
import { failureOf, onlyMissing } from "../../processes/command-failures.js";
import { succeeded } from "../../processes/run-command.js";
import type { AnyName, DatasetInfo, Zfs } from "../driver.js";
import type { ZfsTransfers } from "../transfers-of-driver.js";
import type { LibraryWay } from "./library-way.js";
import { COLUMNS, infoOf, numberOf, rowsOf } from "./list-rows.js";
import { type LookUpProgram, programOf, unsigned } from "./look-up-program.js";
import { findBase } from "./send-looks.js";
import { LIST_OUTPUT_BYTES, type ZfsCommands } from "./zfs-commands.js";

type VolumeLooks = Pick<Zfs, "snapshotsOf" | "isReadonly"> & Pick<ZfsTransfers, "receiveToken" | "findBase">;

/** Each snapshot costs a program four openings of it: those of more are listed by a command. */
const MOST_SNAPSHOTS = 16;
const TOO_MANY = "too many";

/** The snapshots of a dataset, in no order. */
const SNAPSHOTS: LookUpProgram<readonly DatasetInfo[] | typeof TOO_MANY> = {
  text: programOf(`
  local snapshots, of_all = {}, { "all" }
  for snapshot in zfs.list.snapshots(name) do
    if #snapshots == ${MOST_SNAPSHOTS} then return { "${TOO_MANY}" } end
    snapshots[#snapshots + 1] = snapshot
  end
  for _, snapshot in ipairs(snapshots) do
    local own = { string.sub(snapshot, #name + 2), read(snapshot, "guid"), read(snapshot, "createtxg") }
    own[4], own[5] = read(snapshot, "volsize"), read(snapshot, "written")
    for _, field in ipairs(own) do of_all[#of_all + 1] = field end
  end
  return of_all`),
  rowOf(name, [how, ...fields]) {
    if (how === TOO_MANY) return TOO_MANY;
    if (how !== "all" || fields.length % 5 !== 0) return undefined;
    return Array.from({ length: fields.length / 5 }, (_, index): DatasetInfo => {
      const [tag, guid = "", ...others] = fields.slice(index * 5, index * 5 + 5);
      return infoOf([`${name}@${tag}`, "snapshot", unsigned(guid), ...others]);
    });
  },
};

/** For one property, "-" where a dataset has none. */
const propertyProgram = (property: "readonly" | "receive_resume_token"): LookUpProgram<string> => ({
  text: programOf(`return { read(name, "${property}") }`),
  rowOf: (_, fields) => (fields.length === 1 ? fields[0] : undefined),
});

const IDENTITY: LookUpProgram<{ readonly guid: string; readonly createtxg: bigint }> = {
  text: programOf(`return { read(name, "guid"), read(name, "createtxg") }`),
  rowOf: (_, [guid, createtxg, ...others]) =>
    guid === undefined || others.length > 0
      ? undefined
      : { guid: unsigned(guid), createtxg: numberOf(createtxg) },
};

const byAge = (one: DatasetInfo, other: DatasetInfo): number =>
  Number(one.createtxg - other.createtxg) || (one.name < other.name ? -1 : 1);

/**
 * What is asked of a volume while it is sent or received, of which a guest may wait: by the library where it can
 * be called, and else by a command. Nothing of it is cached.
 */
export function createVolumeLooks(
  library: Pick<LibraryWay, "find">,
  commands: Pick<ZfsCommands, "zfs">,
): VolumeLooks {
  const { zfs } = commands;

  /** Undefined: the dataset is missing, or the command has to find out. */
  async function ask<Row>(program: LookUpProgram<Row>, name: AnyName): Promise<Outcome<Row> | undefined> {
    const found = (await library.find(program, [name]))?.get(name);
    if (!found?.ok) return found;
    return found.value === undefined ? undefined : succeed(found.value);
  }

  async function propertyOf(
    property: Parameters<typeof propertyProgram>[0],
    name: DatasetName,
  ): Promise<Outcome<string | undefined>> {
    const asked = await ask(propertyProgram(property), name);
    if (asked) return asked;
    const end = await zfs(["get", "-Hp", "-o", "value", property, name]);
    if (!succeeded(end)) return onlyMissing(end.stderr) ? succeed(undefined) : failureOf(end);
    return succeed(end.stdout.trim());
  }

  return {
    async snapshotsOf(volume) {
      const asked = await ask(SNAPSHOTS, volume);
      if (asked && !asked.ok) return asked;
      if (asked && asked.value !== TOO_MANY) return succeed(asked.value.toSorted(byAge));
      const args = ["-t", "snapshot", "-d", "1", "-s", "createtxg", "-o", COLUMNS, volume];
      const end = await zfs(["list", "-Hp", ...args], { stdoutBytes: LIST_OUTPUT_BYTES });
      return succeeded(end) ? succeed(rowsOf(end).map(infoOf)) : failureOf(end);
    },

    async isReadonly(volume) {
      const value = await propertyOf("readonly", volume);
      if (!value.ok) return value;
      return value.value === undefined ? failed.notFound : succeed(value.value === "on");
    },

    async receiveToken(target) {
      const token = await propertyOf("receive_resume_token", target);
      return token.ok && (token.value === "" || token.value === "-") ? succeed(undefined) : token;
    },

    async findBase(name, { from }) {
      if (isBookmarkName(from)) return findBase(commands, name, from);
      const both = await library.find(IDENTITY, [name, from]);
      const [to, base] = [both?.get(name), both?.get(from)];
      if (!to?.ok || !to.value || !base?.ok || !base.value) return findBase(commands, name, from);
      const { guid, createtxg } = base.value;
      return succeed({ guid, isOlder: createtxg < to.value.createtxg, needs: [{ name: from, guid }] });
    },
  };
}
