import { Command } from "commander";

/** `imagestore schema`: what each method is, as programs read it. */
export function schemaCommand(version: string): Command {
  return new Command("schema")
    .description("print what each method takes and answers, as an OpenRPC document")
    .action(async () => {
      // Loaded here: no other command needs the words of all methods.
      const { openRpcDocument } = await import("../../protocol/api/open-rpc.js");
      const { createMethodTable } = await import("../../protocol/json-rpc/methods/table.js");
      const document = openRpcDocument(createMethodTable().all, version);
      process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    });
}
