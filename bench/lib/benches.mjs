// @ts-check
/**
 * Every bench, in the order in which they run and are reported, with the question that it answers.
 * `missed` says, for targets that are not met, what is in the way and what was tried: Markdown, with links
 * as from docs/benchmarks.md.
 * @type {readonly { name: string, question: string, missed?: string }[]}
 */
export const BENCHES = [
  {
    name: "rpc",
    question:
      "How many small calls a second does the daemon answer, compared with a bare uWebSockets.js server?",
    missed:
      "With many connections on two cores, the client, the daemon's main thread and its actor share what bare uWebSockets.js and the client have to themselves. Measured by autocannon, which is slower than either, the daemon is not behind. What is left of a call is its JSON, its measuring and its access check; [shortcuts](benchmarks/shortcuts.md) has what was gained there.",
  },
  {
    name: "tls",
    question: "How many small calls a second are left with TLS and tokens?",
  },
  {
    name: "websocket",
    question: "How many calls a second does one WebSocket carry, compared with one HTTP connection?",
    missed:
      "One call at a time is two wake-ups of the kernel, on either protocol, and they cost more than all the rest of a call. A bare server of uWebSockets.js gains 1.06 to 1.07 × there, in the same runs.",
  },
  {
    name: "subscribers",
    question: "How many events a second reach thousands of WebSockets, compared with bare uWebSockets.js?",
    missed:
      "5,000 clients share two cores with the daemon. What is published comes to 98 to 99.9 % of what is asked for, by how fast the machine is that day, and none of it is lost. V8 collects what has grown old about once a minute, so thirds of a case of 10 s may differ: over 200 s, on an earlier commit, memory was between 145 and 202 MiB without a trend.",
  },
  {
    name: "nodes",
    question:
      "Are small calls as fast on Node 24 with the newer uWebSockets.js as on Node 20 with the older one?",
  },
  {
    name: "before",
    question: "Is the daemon as fast as another checkout of it, for the same calls in the same run?",
    missed:
      "Since that checkout each request has an id, its Host and Origin are checked, repeated headers are refused, and what it holds in memory is counted: 1 to 2 µs of processor time a call. Shaved off: calls into the module, sizes of short texts, lists that are made again, a table of callers. The rates of two daemons on a machine that others use vary by as much.",
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
    missed:
      "On two cores eight downloads through Node leave no core to calls. Shorter turns of the downloads, and a lower priority for their commands, made no difference. The port for [bulk downloads](decisions/bulk.md) is the answer, since no byte passes through Node: [bulk](benchmarks/bulk.md) has the same row.",
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
    missed:
      "A look-up is one opening of a dataset for each property, in the kernel, whoever asks; in this emulated VM that is most of its time, and the daemon is emulated with it. Runs differ, mostly by how fast the commands are that day: GetSnapshot over 64 connections reached 2.3, 3.9 and 6.0 × within two days, CreateSnapshot 1.0 to 1.5 ×. What was tried is in [libzfs.md](decisions/libzfs.md#what-it-gains): as few properties as a question needs, coroutines instead of looks before, programs of 64 names, two at once. Snapshots and clones wait for transaction groups, on both ways. The commands for guests are the checks of space before their disks are made, which add up all volumes: a channel program that does so keeps the pool from syncing for as long.",
  },
  {
    name: "mixed",
    question: "What do shared look-ups and grouped snapshots gain on real OpenZFS?",
    missed:
      "A group of snapshots is one command, whose time in the emulated VM differs from day to day: a zfs snapshot of 64 names took 3.0 s in this run, and 1.5 s in one that reached 9.3 ×. Others reached 5.6 and 7.1 ×.",
  },
  {
    name: "fetch",
    question: "How long does an image take into real OpenZFS, compared with curl and then zfs receive?",
    missed: "Over loopback the image's commands come before and after its stream, and curl has none of them.",
  },
  {
    name: "images",
    question: "How long do image pack, inspect and unpack take, compared with a copy of the same disk?",
    missed:
      "cp copies within the kernel, once, and leaves its bytes in memory. A pack copies into this process and out again, reckons checksums, and brings the file to the disk; the start of Node alone takes as long as cp does. What was tried is in [images.md](decisions/images.md#what-was-measured-and-what-didnt-pay).",
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
    missed:
      "A folder on a file system that can't share blocks copies all data of the disk for its last snapshot, while the guest waits. On XFS, which shares them, it stood still for 0.76 s (once, by hand). On OpenZFS what is left is the emulated VM's: two looks, a fence and the opening of a device.",
  },
  {
    name: "backups",
    question: "How fast is a backup, and a restore, compared with the store's own client in a pipe?",
    missed:
      "Single runs differ by more than the target allows: 0.71, 0.89, 1.02 and, on an earlier commit, 0.96 and 1.03 ×. Both sides wait for an emulated VM and for a store on the same two cores.",
  },
  {
    name: "scale",
    question: "Does a look-up slow down when the pool holds many snapshots?",
  },
  {
    name: "growth",
    question:
      "Do changes cost more when an embedded pool holds many volumes, and do those that wait share a sync?",
    missed:
      "The target was set where a sync took 5 ms: five times 200 calls/s. Here a sync takes 0.3 to 0.4 ms, and the processor time of the calls is the limit: the daemon's and the client's, on two cores.",
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
