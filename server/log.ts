/** A Logger over the LSP connection: lines travel to the extension's one log channel, tagged with their source. */
import type { Logger, LogFields } from "../model/index.ts";
import { LogNotification, type LogLevel } from "./protocol.ts";

export interface LogSink {
  sendNotification(method: string, params: unknown): Promise<void>;
}

export function createLogger(sink: LogSink, source: "server" | "model"): Logger {
  const write = (level: LogLevel) => (message: string, fields?: LogFields) => {
    // The connection may be gone while the process ends; a log line must not become a crash then.
    sink
      .sendNotification(LogNotification.method, { level, source, message, fields: fields ?? null })
      .catch(() => undefined);
  };
  return {
    trace: write("trace"),
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  };
}
