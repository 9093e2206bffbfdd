/** A failure as one sentence, a hint and an exit status, for people who did not write this program. */
import { NarrowError } from "../../model/index.ts";
import { UsageError } from "./arguments.ts";

export interface Explanation {
  readonly message: string;
  readonly hint: string | undefined;
  readonly status: 1 | 2;
}

const SYSTEM: Readonly<Record<string, readonly [message: string, hint: string]>> = {
  ENOSPC: ["the disk is full", "free some space, or choose another folder for the result"],
  EDQUOT: ["the disk quota is used up", "free some space, or choose another folder for the result"],
  EFBIG: [
    "a file would become larger than this system allows",
    "raise the limit or use a smaller preset",
  ],
  EROFS: ["the file system is read-only", "choose another folder for the result"],
  EACCES: ["permission denied", "check who owns the file or folder"],
  EPERM: ["permission denied", "check who owns the file or folder"],
  EMFILE: ["too many open files", "raise the limit with ulimit -n"],
};

export function explain(error: unknown): Explanation {
  if (error instanceof UsageError) return { message: error.message, hint: error.hint, status: 2 };
  // Our own errors already say what it means for the person; the system's codes are for the rest.
  if (error instanceof NarrowError) return { message: error.message, hint: error.hint, status: 1 };
  if (error instanceof Error && error.name === "AbortError")
    return { message: "stopped before it was done", hint: "run it again", status: 1 };
  const system = systemError(error);
  if (system !== undefined) return system;
  const message = error instanceof Error ? error.message : String(error);
  return {
    message: `unexpected: ${message}`,
    hint: "set NARROWGAUGE_DEBUG=1 and run it again to see where",
    status: 1,
  };
}

/** Looks through the causes: what the disk said is what the person can fix. */
function systemError(error: unknown): Explanation | undefined {
  let at: unknown = error;
  for (let depth = 0; at instanceof Error && depth < 5; depth++) {
    const { code, path } = at as NodeJS.ErrnoException;
    const known = code === undefined ? undefined : SYSTEM[code];
    if (known !== undefined) {
      const where = path === undefined ? "" : `: ${path}`;
      return { message: `${known[0]}${where}`, hint: known[1], status: 1 };
    }
    at = at.cause;
  }
  return undefined;
}
