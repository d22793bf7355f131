// @ts-check
/** Every bench, in the order in which they run and are reported, with the question that it answers. */
export const BENCHES = [
  {
    name: "rpc",
    question:
      "How many small calls a second does the daemon answer, compared with a bare uWebSockets.js server?",
  },
  {
    name: "tls",
    question: "How many small calls a second are left with TLS and tokens?",
  },
  {
    name: "websocket",
    question: "How many calls a second does one WebSocket carry, compared with one HTTP connection?",
  },
  {
    name: "subscribers",
    question: "How many events a second reach thousands of WebSockets, compared with bare uWebSockets.js?",
  },
  {
    name: "nodes",
    question:
      "Are small calls as fast on Node 24 with the newer uWebSockets.js as on Node 20 with the older one?",
  },
  {
    name: "before",
    question: "Is the daemon as fast as another checkout of it, for the same calls in the same run?",
  },
  {
    name: "shortcuts",
    question: "What does code that exists only for speed save on a whole call, compared with a library?",
  },
  {
    name: "spawn",
    question: "Does a large daemon start commands as fast as a small one?",
  },
  {
    name: "streams",
    question:
      "How fast are downloads, compared with a bare pipe, and what do they do to the latency of calls?",
  },
  {
    name: "bulk",
    question: "How near do bulk downloads come to a child that writes straight to the client's socket?",
  },
  {
    name: "fanout",
    question: "How long do several clients of one snapshot take, compared with one client?",
  },
  {
    name: "library",
    question:
      "What do calls of libzfs_core gain over commands, and over what a service with a command a call can do?",
  },
  {
    name: "mixed",
    question: "What do shared look-ups and grouped snapshots gain on real OpenZFS?",
  },
  {
    name: "fetch",
    question: "How long does an image take into real OpenZFS, compared with curl and then zfs receive?",
  },
  {
    name: "images",
    question: "How long do image pack, inspect and unpack take, compared with a copy of the same disk?",
  },
  {
    name: "fetches",
    question:
      "How fast do images come in, plain and gzipped, one and eight at once, compared with curl in a pipe?",
  },
  {
    name: "moving",
    question: "How fast does a volume come to another node, and how many bytes does a change cost?",
  },
  {
    name: "migration",
    question: "For how long does a guest stand still whose disk moves to another node?",
  },
  {
    name: "backups",
    question: "How fast is a backup, and a restore, compared with the store's own client in a pipe?",
  },
  {
    name: "scale",
    question: "Does a look-up slow down when the pool holds many snapshots?",
  },
  {
    name: "growth",
    question:
      "Do changes cost more when an embedded pool holds many volumes, and do those that wait share a sync?",
  },
  {
    name: "overload",
    question:
      "Does the daemon keep its memory, its rate and its promises under ten times the load it can serve?",
  },
  {
    name: "soak",
    question: "Does the daemon grow under a long mixed load?",
  },
];
