import type { HttpRequest } from "../../src/protocol/http/transport.js";

/** A download of the snapshot s of the volume v, as a transport hands it over. */
export const downloadRequest: HttpRequest = {
  method: "GET",
  path: "/snapshots/download",
  query: "id=v@s",
  body: "",
  tooLarge: false,
  header: () => "",
};
