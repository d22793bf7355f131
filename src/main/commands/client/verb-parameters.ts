import { notEmpty } from "../option-parsers.js";
import { parseBlockSize, parseByteCount, parseDisk, parseEach, parseSize, parseTag } from "./verb-parsers.js";

/** A part of a command that fills a member of the request. */
export interface Parameter {
  /** The member; a disk is added to the guest's. */
  readonly member: string;
  /** As commander wants it: `<image>`, or `--size <size>`. */
  readonly flags: string;
  readonly description: string;
  /** Throws an InvalidArgumentError. `before`: of an option that may be given several times. */
  parse(value: string, before: unknown): unknown;
  readonly isRequired?: boolean;
}

export const text = (member: string, flags: string, description: string): Parameter => ({
  ...{ member, flags, description },
  parse: notEmpty,
});
export const flag = (member: string, flags: string, description: string): Parameter => ({
  ...{ member, flags, description },
  parse: () => true,
});
export const dryRun = flag("dryRun", "-n, --dry-run", "change nothing, and show what would be destroyed");
export const needed = (parameter: Parameter): Parameter => ({ ...parameter, isRequired: true });

export const image = text("id", "<image>", "the image's name");
export const volume = text("id", "<volume>", "the volume's name, without the pool or with it");
export const snapshot = text("id", "<snapshot>", "VOLUME@SNAPSHOT");
export const guest = text("id", "<guest>", "the guest's name");
export const size: Parameter = { ...text("size", "--size <size>", "such as 512M or 10G"), parse: parseSize };
export const blockSize: Parameter = {
  ...text("volblocksize", "--block-size <bytes>", "the size of its blocks: 4096, 8K, … 128K"),
  parse: parseBlockSize,
};
export const provisioning = text(
  "provisioning",
  "--provisioning <how>",
  "thick, with its room kept for it, or thin",
);
export const tags: Parameter = {
  ...text("tags", "--tag <tag>", "NAME=VALUE; with an empty value the tag goes; once for each"),
  parse: parseTag,
};
export const disk: Parameter = {
  ...text("disks", "--disk <disk>", "size=SIZE or image=IMAGE; once for each disk, in their order"),
  parse: parseDisk,
};
/** What a RequestImage may say of its image. */
export const imageRequest: readonly Parameter[] = [
  text("type", "--type <type>", "kvm or container, or what the image service says"),
  text("source", "--source <url>", "fetch it from there"),
  {
    ...text("sources", "--sources <url>", "instead of --source: once for each, tried in order"),
    parse: parseEach,
  },
  text("digest", "--digest <sha256>", "of its bytes as they are transferred: else it is refused"),
  { ...text("size", "--size <bytes>", "how many bytes must be transferred"), parse: parseByteCount },
  text("origin", "--origin <image>", "of a layered image: the one that it builds on, or IMAGE@SNAPSHOT"),
];
export const job = text("id", "<job>", "the job's id");
