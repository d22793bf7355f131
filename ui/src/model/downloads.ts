import { type ReadonlySignal, signal } from "@preact/signals";
import type { Notes } from "./notes.ts";
import type { Session } from "./session.ts";
import { bytesText } from "./sizes.ts";

/** A download that the page itself writes to a file. */
export interface RunningDownload {
  readonly snapshot: string;
  readonly bytes: number;
  end(): void;
}

export interface Downloads {
  readonly running: ReadonlySignal<readonly RunningDownload[]>;
  /** Saves the stream of a snapshot as a file. */
  save(snapshot: string): Promise<void>;
}

/** What the page keeps in memory where the browser gives it no file to write to. */
const MOST_IN_MEMORY = 1024 ** 3;

declare global {
  interface Window {
    /** Only in pages that came by https or from this machine, and not in every browser. */
    showSaveFilePicker?(options: { suggestedName: string }): Promise<FileSystemFileHandle>;
  }
}

/** Where the pieces go. */
interface Target {
  write(piece: Uint8Array<ArrayBuffer>): Promise<void>;
  close(): Promise<void>;
  abort(): Promise<void>;
}

export function fileNameOf(snapshot: string): string {
  return `${snapshot.replaceAll("/", "_")}.zfs`;
}

/** Has the browser save what an address leads to. */
function followLink(href: string, name: string): void {
  const link = document.createElement("a");
  link.href = href;
  link.download = name;
  link.click();
}

/** Collects the pieces in memory, and saves them at the end. */
function memoryTarget(name: string): Target {
  let pieces: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  return {
    write: async (piece) => {
      bytes += piece.length;
      if (bytes > MOST_IN_MEMORY) {
        throw new Error(
          `this browser lets no page write to a file here, and ${bytesText(MOST_IN_MEMORY)} is too much for its memory: ` +
            "use imagestore snapshot download, or open the page by https or on localhost",
        );
      }
      pieces.push(piece);
    },
    close: async () => {
      const url = URL.createObjectURL(new Blob(pieces, { type: "application/octet-stream" }));
      followLink(url, name);
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    },
    abort: async () => {
      pieces = [];
    },
  };
}

/** A file that the user chooses; undefined if none was chosen. */
async function chosenFile(name: string): Promise<Target | undefined> {
  const handle = await window.showSaveFilePicker?.({ suggestedName: name }).catch(() => undefined);
  return handle?.createWritable();
}

/**
 * Without a token the browser's own download does it. It can't send a token but in the address, where it would
 * be kept: so with one the page reads the stream, and writes it to a file that the user chooses.
 */
export function createDownloads(session: Session, notes: Notes): Downloads {
  const running = signal<readonly RunningDownload[]>([]);

  async function pump(snapshot: string, target: Target): Promise<number> {
    const ending = new AbortController();
    const path = `/snapshots/download?id=${encodeURIComponent(snapshot)}`;
    let bytes = 0;
    const show = () => {
      const others = running.value.filter((each) => each.snapshot !== snapshot);
      running.value = [...others, { snapshot, bytes, end: () => ending.abort() }];
    };
    show();
    const shown = setInterval(show, 500);
    try {
      const answer = await session.client.get(path, { signal: ending.signal });
      if (!answer.ok) throw new Error(answer.failure.message);
      const reader = answer.value.body?.getReader();
      for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) {
        bytes += piece.value.length;
        await target.write(piece.value);
      }
      await target.close();
      return bytes;
    } catch (error) {
      await target.abort();
      throw ending.signal.aborted ? new Error("ended by you") : error;
    } finally {
      clearInterval(shown);
      running.value = running.value.filter((each) => each.snapshot !== snapshot);
    }
  }

  return {
    running,
    save: async (snapshot) => {
      const name = fileNameOf(snapshot);
      if (!session.hasToken())
        return followLink(`/snapshots/download?id=${encodeURIComponent(snapshot)}`, name);
      const target = window.showSaveFilePicker ? await chosenFile(name) : memoryTarget(name);
      if (!target) return;
      const note = notes.tell("busy", `Downloading ${snapshot}`);
      try {
        const bytes = await pump(snapshot, target);
        notes.tell("done", `Saved ${name}, ${bytesText(bytes)}`, undefined, note);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        notes.tell("failed", `${snapshot} was not saved`, why, note);
      }
    },
  };
}
