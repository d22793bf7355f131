import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";

/** What systemd is to a service: a datagram socket. Node has none, so this is a program for python3. */
const LISTENER = `
import socket, sys
name = sys.argv[1]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind("\\0" + name[1:] if name.startswith("@") else name)
print("bound", flush=True)
while True:
    print(repr(listener.recv(65536).decode()), flush=True)
`;

/** Why there can be no listener, or undefined. */
export function whyNoListener(): string | undefined {
  const missing = ["python3", "systemd-notify"].filter((name) => spawnSync(name, ["--version"]).status !== 0);
  return missing.length === 0 ? undefined : `there is no ${missing.join(" and no ")}`;
}

/** The receiver of what systemd-notify sends. */
export interface NotifyListener {
  /** The variables that came, in their order, those of all messages. BARRIER is systemd-notify's own. */
  variables(): readonly string[];
  stop(): Promise<void>;
}

/** @param address a path, or "@" and a name in the abstract namespace. */
export async function listenForNotify(address: string): Promise<NotifyListener> {
  const child: ChildProcess = spawn("python3", ["-c", LISTENER, address], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  await new Promise<void>((resolve, reject) => {
    child.once("exit", () => reject(new Error("the listener ended")));
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.startsWith("bound\n")) resolve();
    });
  });
  return {
    variables: () =>
      text
        .split("\n")
        .slice(1, -1)
        .flatMap((line) => line.slice(1, -1).split("\\n"))
        .filter((line) => line !== "" && line !== "BARRIER=1"),
    stop: async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}
