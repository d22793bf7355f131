import { MessageChannel } from "node:worker_threads";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createImageMirror } from "../../../../src/main/pools/image-mirror.js";
import { failed, succeed } from "../../../../src/protocol/storage/failures.js";
import { getImage, type ImageChange, listImages } from "../../../../src/protocol/storage/known-images.js";
import type { DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import type { CompleteImage, ImageRecord } from "../../../../src/protocol/storage/records.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { openLink } from "../../../../src/protocol/threads/link.js";
import { until } from "../../../support/until.js";

function image(id: string, type = "kvm"): CompleteImage {
  const volume = `tank/images/${id}` as DatasetName;
  return { id, type, volume, snapshot: `${volume}@s` as SnapshotName, size: bytes(1), status: "complete" };
}

describe("the mirror of an actor's images", () => {
  const ids = fc.constantFrom("a", "b", "c");
  const change: fc.Arbitrary<ImageChange> = fc.oneof(
    fc.tuple(ids, fc.constantFrom("kvm", "lxc")).map(([id, type]) => ({ put: image(id, type) })),
    ids.map((id) => ({ drop: id })),
    ids.map((id) => ({ fetching: id })),
    ids.map((id) => ({ settled: id })),
  );

  test("answers nothing before it has all images, and then as the actor would", () => {
    fc.assert(
      fc.property(fc.array(change), fc.array(change), (before, after) => {
        const mirror = createImageMirror();
        const images = new Map<string, CompleteImage>();
        const fetching = new Set<string>();
        const happen = (each: ImageChange) => {
          if ("put" in each) images.set(each.put.id, each.put);
          else if ("drop" in each) images.delete(each.drop);
          else if ("fetching" in each) fetching.add(each.fetching);
          else if ("settled" in each) fetching.delete(each.settled);
        };
        for (const each of before) if ("put" in each || "drop" in each) happen(each);
        expect(mirror.known).toBeUndefined();
        expect(mirror.list({ type: "" })).toBeUndefined();
        mirror.apply({ all: [...images.values()] });
        for (const each of after) {
          happen(each);
          mirror.apply(each);
          const { known } = mirror;
          if (!known) throw new Error("it knows nothing");
          for (const id of ["a", "b", "c", "d"]) {
            expect(getImage(known, id)).toEqual(getImage({ images, fetching }, id));
          }
          for (const type of ["", "kvm", "lxc"]) {
            const order = (list: readonly ImageRecord[]) => [...list].sort((x, y) => (x.id < y.id ? -1 : 1));
            expect(order(listImages(known, { type }))).toEqual(
              order(listImages({ images, fetching }, { type })),
            );
            for (const page of [{}, { limit: 1 }, { after: "a" }]) {
              expect(mirror.list({ type, ...page })).toEqual(listImages(known, { type, ...page }));
            }
          }
        }
      }),
    );
  });

  test("gives the same short list until an image changes, so that its text is made once", () => {
    const mirror = createImageMirror();
    mirror.apply({ all: [image("a"), image("b", "lxc")] });
    const list = mirror.list({ type: "kvm" });
    expect(list).toEqual([image("a")]);
    expect(mirror.list({ type: "kvm" })).toBe(list);
    mirror.apply({ fetching: "c" });
    expect(mirror.list({ type: "kvm" })).not.toBe(list);
    mirror.apply({ all: Array.from({ length: 1_001 }, (_, index) => image(`i${index}`)) });
    expect(mirror.list({ type: "" })).not.toBe(mirror.list({ type: "" }));
  });

  test("shows an image as pending while it is fetched, and not as two when it is there", () => {
    const mirror = createImageMirror();
    mirror.apply({ all: [] });
    mirror.apply({ fetching: "a" });
    const known = mirror.known;
    if (!known) throw new Error("it knows nothing");
    expect(getImage(known, "a")).toMatchObject({ value: { id: "a", status: "pending" } });
    mirror.apply({ put: image("a") });
    expect(listImages(known, { type: "" })).toEqual([image("a")]);
    mirror.apply({ settled: "a" });
    expect(getImage(known, "a")).toEqual(succeed(image("a")));
    mirror.apply({ drop: "a" });
    expect(getImage(known, "a")).toEqual(failed.imageNotFound);
  });

  test("has a change before the answer that goes with it arrives, however they are framed", async () => {
    const { port1, port2 } = new MessageChannel();
    const mirror = createImageMirror();
    const actor = openLink(
      port2,
      async (ask) => {
        actor.notify({ put: image(String(ask)) } satisfies ImageChange);
        return succeed(ask);
      },
      failed.interrupted,
    );
    const main = openLink(
      port1,
      async () => succeed(null),
      failed.interrupted,
      (each) => mirror.apply(each as ImageChange),
    );
    actor.notify({ all: [] } satisfies ImageChange);
    await until("it has all images", () => mirror.known !== undefined);
    const asked = Array.from({ length: 50 }, async (_, index) => {
      await main.call(String(index));
      if (!mirror.known) throw new Error("it knows nothing");
      expect(getImage(mirror.known, String(index)).ok).toBe(true);
    });
    await Promise.all(asked);
    main.close();
    actor.close();
  });
});
