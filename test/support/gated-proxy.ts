import { connect, createServer, type Socket } from "node:net";

type Direction = "up" | "down";

/** A TCP proxy that stops passing bytes on when it is told to. */
export interface GatedProxy {
  readonly port: number;
  /** Passes on so many bytes more in a direction, then none. `up`: to the server. */
  stopAfter(direction: Direction, bytes: number): void;
  /** Whether bytes wait for `open`. */
  readonly isStopped: boolean;
  /** Passes on everything again. */
  open(): void;
  /** Cuts all connections. */
  cut(): void;
  close(): Promise<void>;
}

export async function startGatedProxy(target: number): Promise<GatedProxy> {
  const left: Record<Direction, number> = { up: Number.POSITIVE_INFINITY, down: Number.POSITIVE_INFINITY };
  const sockets = new Set<Socket>();
  let waiting: (() => void)[] = [];

  function pass(from: Socket, to: Socket, direction: Direction): void {
    from.on("data", (chunk: Buffer) => {
      if (left[direction] <= 0) {
        from.pause();
        waiting.push(() => {
          to.write(chunk);
          from.resume();
        });
        return;
      }
      left[direction] -= chunk.length;
      if (to.write(chunk)) return;
      from.pause();
      to.once("drain", () => from.resume());
    });
    from.once("end", () => to.end());
    from.on("error", () => to.destroy());
    from.once("close", () => {
      sockets.delete(from);
      to.destroy();
    });
  }

  const server = createServer((client) => {
    const upstream = connect(target, "127.0.0.1");
    for (const each of [client, upstream]) sockets.add(each);
    pass(client, upstream, "up");
    pass(upstream, client, "down");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const cut = () => {
    waiting = [];
    for (const each of sockets) each.destroy();
  };
  return {
    port: typeof address === "object" && address ? address.port : 0,
    stopAfter: (direction, bytes) => {
      left[direction] = bytes;
    },
    get isStopped() {
      return waiting.length > 0;
    },
    open: () => {
      left.up = Number.POSITIVE_INFINITY;
      left.down = Number.POSITIVE_INFINITY;
      const held = waiting;
      waiting = [];
      for (const goOn of held) goOn();
    },
    cut,
    close: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
