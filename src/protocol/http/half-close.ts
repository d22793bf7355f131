import type { IncomingMessage, ServerResponse } from "node:http";

/** How long a reply may take before a client that has half-closed its connection is asked whether it is there. */
const ASK_AFTER_MS = 1_000;

/**
 * A client that has sent all may close its half of the connection and wait for the reply. One that
 * has gone away looks the same until something is written to it. So when the reply takes longer, a
 * `102 Processing` is written, which HTTP/1.1 clients skip (RFC 9110, 15.2): if nobody is there,
 * the answer is a reset, and the reply learns that its client has disconnected.
 *
 * In the middle of a reply nothing may be written. There the kernel asks, by its keep-alive. A client's
 * kernel answers for it until it forgets the connection (Linux: tcp_fin_timeout, 60 s), and resets it
 * then. Node does not listen for that when it has read the end and has nothing to write; a write of no
 * bytes fails once it has happened.
 */
export function askHalfClosed(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { socket } = incoming;
  let timer: NodeJS.Timeout | undefined;
  const ask = () => {
    if (outgoing.headersSent) {
      if (socket.writableLength === 0) socket.write("");
    } else if (incoming.httpVersion === "1.1") outgoing.writeProcessing();
  };
  const onEnd = () => {
    socket.setKeepAlive(true, ASK_AFTER_MS);
    timer = setInterval(ask, ASK_AFTER_MS);
  };
  socket.once("end", onEnd);
  outgoing.once("close", () => {
    socket.off("end", onEnd);
    clearInterval(timer);
  });
}
