/**
 * Process entry of the language server. Speaks LSP over the IPC channel of its parent, never over stdio, and gives
 * the server its real parts. It ends with its parent: a lost channel is an exit.
 */
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { createConnection, ProposedFeatures } from "vscode-languageserver/node";
import { PROTOCOL_VERSION } from "../model/protocol.ts";
import { createLanguageServer } from "./languageServer.ts";
import { createLogger } from "./log.ts";
import { createQueryEngine } from "./query/queryEngine.ts";
import type { QueryPort } from "./queryService.ts";
import { factsFromEditor, readSymbols } from "./workspaceFacts.ts";

const here = dirname(fileURLToPath(import.meta.url));

const connection = createConnection(ProposedFeatures.all);
const logger = createLogger(connection, "server");

process.on("uncaughtException", (error) => {
  logger.error("uncaught exception", { error: error.stack ?? error.message });
});
process.on("unhandledRejection", (reason) => {
  logger.error("unhandled rejection", {
    error: reason instanceof Error ? (reason.stack ?? reason.message) : String(reason),
  });
});
process.on("disconnect", () => process.exit(0));

createLanguageServer(connection, {
  host: {
    modulePath: join(here, "model.mjs"),
    execPath: process.execPath,
    protocolVersion: PROTOCOL_VERSION,
  },
  createQuery: async ({ root, folder, files, embed }): Promise<QueryPort> => {
    const symbols = await readSymbols(folder);
    const engine = createQueryEngine({ files, symbols, embed });
    return {
      setFile: (path, bytes) => engine.setFile(path, bytes),
      removeFile: (path) => engine.removeFile(path),
      query: async ({ text, limit, signal }) => {
        const answers = await engine.query(text, { limit, signal });
        return answers.map(({ startLine, endLine, ...answer }) => ({
          ...answer,
          uri: pathToFileURL(join(root, answer.path)).toString(),
          startLine: startLine - 1,
          endLine: endLine - 1,
        }));
      },
    };
  },
  collectFacts: factsFromEditor(logger),
});
