import { type IncomingHttpHeaders, request } from "node:http";

/** A whole reply, as it came. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
}

export interface Message {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export interface Volume {
  readonly id: string;
  readonly size: number;
  readonly device: string;
  /** Of SetVolume and GetVolumeProperties. */
  readonly properties?: {
    readonly compression: string;
    readonly sync: string;
    readonly readonly: boolean;
    readonly provisioning: string;
    readonly volblocksize: number;
    readonly tags: Readonly<Record<string, string>>;
  };
}

export interface Snapshot {
  readonly id: string;
  readonly size: number;
}

export interface Image {
  readonly id: string;
  readonly type: string;
  readonly volume?: string;
  readonly snapshot?: string;
  readonly size: number;
  readonly status?: string;
}

export interface Disk {
  readonly bus: string;
  readonly device: string;
  readonly size: number;
  readonly volume: string;
  readonly image: string;
  readonly source: string;
}

interface Images {
  readonly images: readonly Image[] | null;
}
interface Volumes {
  readonly volumes: readonly Volume[];
}
interface Bookmarks {
  readonly bookmarks: readonly { readonly id: string; readonly guid: string; readonly created: string }[];
}
interface Backups {
  readonly backups: readonly { readonly id: string; readonly snapshot: string; readonly guid: string }[];
}
interface Snapshots {
  readonly snapshots: readonly Snapshot[];
}
export interface Pool {
  readonly name: string;
  readonly driver: string;
  readonly size: number;
  readonly allocated: number;
  readonly free: number;
  readonly available: number;
  readonly promised: number;
  readonly health: string;
  readonly fragmentation: number | null;
}
interface Pools {
  readonly pools: readonly Pool[];
}
interface GuestAnswer {
  readonly guest: { readonly id: string; readonly disks?: readonly Disk[] };
}

/** What each method answers. */
export interface Answers {
  ListImages: Images;
  GetImage: Images;
  RequestImage: Images;
  DeleteImage: Images;
  PruneImages: { readonly images: readonly Image[] };
  RestoreImage: Images;
  CloneImage: Volumes;
  ListVolumes: Volumes;
  CreateVolume: Volumes;
  GetVolume: Volumes;
  DeleteDataset: Volumes;
  ResizeVolume: Volumes;
  RenameVolume: Volumes;
  PromoteVolume: Volumes;
  CopyVolume: Volumes;
  SetVolume: Volumes;
  GetVolumeProperties: Volumes;
  CloneSnapshot: Volumes;
  ListSnapshots: Snapshots;
  GetSnapshot: Snapshots;
  CreateSnapshot: Snapshots;
  SnapshotGuest: Snapshots;
  DeleteSnapshot: Snapshots;
  RollbackSnapshot: Snapshots;
  CreateBookmark: Bookmarks;
  ListBookmarks: Bookmarks;
  DeleteBookmark: Bookmarks;
  BackupSnapshot: Backups;
  ListBackups: Backups;
  VerifyBackup: Backups;
  RestoreBackup: Volumes;
  PruneBackups: Backups;
  VerifyDisks: GuestAnswer;
  CreateGuestDisks: GuestAnswer;
  DeleteGuestsDisks: GuestAnswer;
  GetGuestQuota: {
    readonly quotas: readonly { readonly id: string; readonly quota: number; readonly used: number }[];
  };
  SetGuestQuota: {
    readonly quotas: readonly { readonly id: string; readonly quota: number; readonly used: number }[];
  };
  GetPool: Pools;
}

export type MethodName = keyof Answers;

/** A 1.0 reply, read. */
export interface Answered<T> {
  readonly result: T | null;
  readonly error: string | null;
}

/** The error object of 2.0. */
export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data: { readonly reason: string; readonly errno?: string; readonly retryable: boolean };
}

export const RPC_PATH = "/_mistify_RPC_";

/** The server under test, as its clients see it. */
export interface Server {
  /** Sends one request on a connection of its own. Rejects when the reply does not end cleanly. */
  send(message: Message): Promise<Reply>;
  /** Posts a body to the old path, as JSON, byte for byte. */
  post(body: string | Buffer, headers?: Readonly<Record<string, string>>): Promise<Reply>;
  /** Calls a method by JSON-RPC 1.0. Rejects unless it is answered with 200. */
  call<M extends MethodName>(method: M, params: object): Promise<Answered<Answers[M]>>;
  /** Calls a method that must succeed. */
  must<M extends MethodName>(method: M, params: object): Promise<Answers[M]>;
  /** Calls a method that must fail. @returns its error. */
  refusal(method: MethodName, params: object): Promise<string>;
  /** Calls a method by JSON-RPC 2.0 that must fail. @returns the error object. */
  failure(method: MethodName, params: object): Promise<RpcError>;
  /** Downloads a snapshot, which must succeed. */
  download(id: string): Promise<Buffer>;
}

/** node:http rather than fetch: a GET may carry a body, and nothing is added to the headers. */
export function sendTo(url: string, message: Message): Promise<Reply> {
  const { method = "POST", path = "/", headers = {}, body = "" } = message;
  // The path goes out as given: URL would tidy it.
  const { hostname, port } = new URL(url);
  const hasLength = body.length > 0 && !("Transfer-Encoding" in headers);
  return new Promise((resolve, reject) => {
    const outgoing = request({
      hostname,
      port,
      path,
      method,
      agent: false,
      headers: hasLength ? { "Content-Length": Buffer.byteLength(body), ...headers } : headers,
    });
    outgoing.on("error", reject);
    outgoing.on("response", (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("error", reject);
      incoming.on("end", () => {
        const whole = Buffer.concat(chunks);
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body: whole,
          text: whole.toString("utf8"),
        });
      });
    });
    outgoing.end(body);
  });
}

/** @param always headers of every request, unless it has its own. */
export function createServer(url: string, always: Message["headers"] = {}): Server {
  const send: Server["send"] = (message) =>
    sendTo(url, { ...message, headers: { ...always, ...message.headers } });
  const post: Server["post"] = (body, headers = {}) =>
    send({ path: RPC_PATH, body, headers: { "Content-Type": "application/json", ...headers } });
  const call: Server["call"] = async (method, params) => {
    const reply = await post(JSON.stringify({ method: `ImageStore.${method}`, params: [params], id: 1 }));
    if (reply.status !== 200) throw new Error(`${method}: HTTP ${reply.status}: ${reply.text}`);
    return JSON.parse(reply.text);
  };
  return {
    send,
    post,
    call,
    must: async (method, params) => {
      const { result, error } = await call(method, params);
      if (result === null) throw new Error(`${method} ${JSON.stringify(params)}: ${error}`);
      return result;
    },
    refusal: async (method, params) => {
      const { result, error } = await call(method, params);
      if (error !== null) return error;
      throw new Error(`${method} ${JSON.stringify(params)} succeeded: ${JSON.stringify(result)}`);
    },
    failure: async (method, params) => {
      const body = JSON.stringify({ jsonrpc: "2.0", method: `ImageStore.${method}`, params, id: 1 });
      const reply = await send({ path: "/rpc", body, headers: { "Content-Type": "application/json" } });
      const { error } = JSON.parse(reply.text) as { error?: RpcError };
      if (error) return error;
      throw new Error(`${method} ${JSON.stringify(params)} succeeded: ${reply.text}`);
    },
    download: async (id) => {
      const reply = await send({ method: "GET", path: `/snapshots/download?id=${encodeURIComponent(id)}` });
      if (reply.status !== 200) throw new Error(`download of ${id}: HTTP ${reply.status}: ${reply.text}`);
      return reply.body;
    },
  };
}
