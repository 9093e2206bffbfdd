/**
 * Every failure the runtime reports. A class per kind of failure, a stable code, the values in the message
 * and the remedy in the hint: callers show `message` and `hint`, and branch on `code` only.
 */

export type NarrowCode = `NG_${string}`;

export class NarrowError extends Error {
  readonly code: NarrowCode;
  readonly hint: string | undefined;

  constructor(code: NarrowCode, message: string, hint?: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.hint = hint;
  }
}

export class ConfigError extends NarrowError {}
export class ShapeError extends NarrowError {}
export class ProtocolError extends NarrowError {}
export class DeviceUnavailableError extends NarrowError {}
export class DeviceLostError extends NarrowError {}
export class OutOfGpuMemoryError extends NarrowError {}
export class KernelCompileError extends NarrowError {}
export class CheckpointError extends NarrowError {}
export class CorpusError extends NarrowError {}
export class HostExitError extends NarrowError {}

/** For our own mistakes: the message says which promise was broken, with the values. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition)
    throw new ShapeError("NG_INVARIANT", message, "this is a defect; please report it");
}
