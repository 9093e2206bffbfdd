/**
 * What a file is told of other files must not depend on that file. Where leaving out each by itself would cost too much,
 * files are dealt into folds by their paths, and a file is told what the others without its fold say.
 */
import { identityOf } from "./channels.ts";

export const FOLDS = 4;

/** 0 … FOLDS − 1. */
export const foldOf = (path: string): number => identityOf(path, "") % FOLDS;

/** One answer for each fold that is left out, and at last one of all files. */
export function foldwise<T extends { readonly path: string }, R>(
  files: readonly T[],
  answer: (files: readonly T[]) => R,
): readonly R[] {
  const without = Array.from({ length: FOLDS }, (_, fold) =>
    answer(files.filter((f) => foldOf(f.path) !== fold)),
  );
  return [...without, answer(files)];
}

/** Which of foldwise()'s answers a file may know; those who ask for none, or for a new one, are told what all say. */
export const answerFor = (path: string | undefined, files: ReadonlySet<string>): number =>
  path !== undefined && files.has(path) ? foldOf(path) : FOLDS;
