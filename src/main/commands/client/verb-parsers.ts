import { InvalidArgumentError } from "commander";
import { notEmpty } from "../option-parsers.js";

const UNIT_MIB: Readonly<Record<string, number>> = { m: 1, g: 1024, t: 1024 ** 2, p: 1024 ** 3 };

/** `512M`, `10G`, `1.5T`: whole MiB, by powers of 1024, as zfs(8) reads them. */
export function parseSize(value: string): number {
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?)([mgtp])(?:i?b)?$/i.exec(value) ?? [];
  const mib = Number(digits) * (UNIT_MIB[unit.toLowerCase()] ?? Number.NaN);
  if (Number.isSafeInteger(mib) && mib > 0) return mib;
  throw new InvalidArgumentError("must be a size of whole MiB, such as 512M or 10G");
}

/** As parseSize, or `none`. */
export function parseQuota(value: string): number {
  return value === "none" ? 0 : parseSize(value);
}

/** A disk of a guest: `10G` for an empty one, or the name of an image. */
export function parseDisk(value: string, before: unknown): object[] {
  const disks = Array.isArray(before) ? before : [];
  const [, kind = "", what = ""] = /^(size|image)=(.+)$/.exec(value) ?? [];
  if (kind === "image") return [...disks, { image: what }];
  if (kind === "size") return [...disks, { size: parseSize(what) }];
  throw new InvalidArgumentError("must be size=SIZE for an empty disk, or image=IMAGE");
}

/** `4096`, `16K`: bytes. */
export function parseBlockSize(value: string): number {
  const [, digits = "", unit] = /^(\d{1,6})(k)?$/i.exec(value) ?? [];
  const bytes = Number(digits) * (unit === undefined ? 1 : 1024);
  if (bytes > 0) return bytes;
  throw new InvalidArgumentError("must be a number of bytes, such as 4096 or 16K");
}

export function parseSwitch(value: string): boolean {
  if (value === "on" || value === "off") return value === "on";
  throw new InvalidArgumentError("must be on or off");
}

const HOUR_MS = 60 * 60 * 1_000;
const UNIT_MS: Readonly<Record<string, number>> = {
  m: 60_000,
  h: HOUR_MS,
  d: 24 * HOUR_MS,
  w: 168 * HOUR_MS,
};

/** `90m`, `12h`, `30d`, `8w`: seconds. */
export function parseDuration(value: string): number {
  const [, count = "", unit = ""] = /^(\d{1,5})([mhdw])$/.exec(value) ?? [];
  const seconds = (Number(count) * (UNIT_MS[unit] ?? 0)) / 1_000;
  if (seconds > 0) return seconds;
  throw new InvalidArgumentError("must be 90m, 12h, 30d or 8w");
}

/** `90m`, `12h`, `30d`, `8w` ago, or a date. @returns a time as RFC 3339 has it. */
export function parseMoment(value: string): string {
  const [, count = "", unit = ""] = /^(\d{1,5})([mhdw])$/.exec(value) ?? [];
  const ms = unit === "" ? Date.parse(value) : Date.now() - Number(count) * (UNIT_MS[unit] ?? 0);
  if (/^\d/.test(value) && Number.isFinite(ms)) return new Date(ms).toISOString();
  throw new InvalidArgumentError("must be 90m, 12h, 30d, 8w or a date such as 2027-01-31");
}

export function parseCount(value: string): number {
  if (/^[1-9]\d{0,8}$/.test(value)) return Number(value);
  throw new InvalidArgumentError("must be a number from 1 on");
}

/** A text beside those before it. */
export function parseEach(value: string, before: unknown): string[] {
  const texts: string[] = Array.isArray(before) ? before : [];
  return [...texts, notEmpty(value)];
}

export function parseByteCount(value: string): number {
  const bytes = /^[1-9]\d{0,15}$/.test(value) ? Number(value) : Number.NaN;
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new InvalidArgumentError("must be a number of bytes");
}

/** A tag beside those before it. */
export function parseTag(value: string, before: unknown): object {
  const at = value.indexOf("=");
  if (at <= 0) throw new InvalidArgumentError("must be NAME=VALUE");
  return { ...Object(before), [value.slice(0, at)]: value.slice(at + 1) };
}

/** Texts with commas between them. */
export function parseList(value: string): readonly string[] {
  return value.split(",").map((each) => each.trim());
}
