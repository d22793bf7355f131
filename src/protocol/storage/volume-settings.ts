/** How the user properties begin that keep a volume's tags. */
export const TAG_PREFIX = "tag:";

/** How the tags begin that no request may set. */
export const OWN_TAGS = "imagestore.";
/** The tag of a volume that has moved to another node. */
export const FENCE_TAG = `${OWN_TAGS}fence`;

/** When writes to a volume are on the disk, as zfs(8) calls it. */
export const SYNC_WORDS = ["standard", "always", "disabled"] as const;

/** Changes of a volume's settings. What is undefined stays as it is. */
export interface SettingChanges {
  readonly compression?: string | undefined;
  readonly sync?: string | undefined;
  readonly readonly?: boolean | undefined;
  /** Whether room is kept for all that the volume may write. */
  readonly isThick?: boolean | undefined;
  /** By their names; a tag with "" goes. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
}

/** The settings of a volume, as they are. */
export interface VolumeSettings {
  readonly compression: string;
  readonly sync: string;
  readonly readonly: boolean;
  readonly isThick: boolean;
  /** Bytes. */
  readonly volblocksize: number;
  /** Those that the volume has itself, by their names, which are in order. */
  readonly tags: Readonly<Record<string, string>>;
}

/** What a new volume is to be where it differs from others. */
export interface NewVolumeSettings {
  /** Bytes. */
  readonly volblocksize?: number | undefined;
  readonly isThick?: boolean | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
}

export const MAX_PROPERTY_CHARACTERS = 1024;

/** Whether a text can be a property. A control character could add a row to the output of `zfs list`. */
export function isPropertyText(text: string): boolean {
  return text.length <= MAX_PROPERTY_CHARACTERS && !/\p{Cc}/u.test(text);
}

/** The tags among the properties that a volume has itself. */
export function tagsOf(properties: Iterable<readonly [string, string]>): Readonly<Record<string, string>> {
  const tags = [...properties].flatMap(([name, value]) =>
    name.startsWith(TAG_PREFIX) && value !== "" ? [[name.slice(TAG_PREFIX.length), value] as const] : [],
  );
  return Object.fromEntries(tags.sort(([one], [other]) => (one < other ? -1 : 1)));
}
