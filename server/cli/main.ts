/**
 * Process entry of `narrowgauge`. It leaves through process.exit once both streams are written out, because a
 * GPU binding or a worker thread may otherwise keep a finished process alive.
 */
import { processTerminal, runCommandLine } from "./commandLine.ts";

const status = await runCommandLine(process.argv.slice(2), processTerminal());
process.stdout.write("", () => process.stderr.write("", () => process.exit(status)));
