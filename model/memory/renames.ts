/** Which names of one place stand for which of another, as the tokens before both show it: whole names, and parts of
 *  names, so that what turned `getUser` into `getGroup` also turns `userId` into `groupId`. */

const PARTS = /[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^A-Za-z0-9]+/g;

export class Renames {
  private readonly names = new Map<string, string>();
  private readonly parts = new Map<string, string>();
  /** Names that have another name here; how often one was met again as it was known, and otherwise. */
  renamed = 0;
  confirmed = 0;
  contradicted = 0;

  /** `there` is `here`. Pairs come nearest first, and the first of a name counts. */
  learn(there: string, here: string): void {
    const known = this.names.get(there);
    if (known === undefined) {
      this.names.set(there, here);
      if (there !== here) this.renamed++;
    } else if (known !== here) this.contradicted++;
    else if (there !== here) this.confirmed++;
    if (there === here) return;
    const from = partsOf(there);
    const to = partsOf(here);
    if (from.length !== to.length) return;
    for (const [i, part] of from.entries()) {
      const key = lowerCase(part);
      if (part !== to[i] && !this.parts.has(key)) this.parts.set(key, lowerCase(to[i]!));
    }
  }

  apply(there: string): string {
    const known = this.names.get(there);
    if (known !== undefined || this.parts.size === 0) return known ?? there;
    return partsOf(there)
      .map((part) => {
        const other = this.parts.get(lowerCase(part));
        return other === undefined ? part : inCaseOf(part, other);
      })
      .join("");
  }
}

function partsOf(name: string): string[] {
  return name.match(PARTS) ?? [name];
}

/** Characters are bytes: only those of ASCII have another case. */
function lowerCase(part: string): string {
  return isLetter(part) ? part.toLowerCase() : part;
}

function inCaseOf(example: string, part: string): string {
  if (!isLetter(part) || !isLetter(example) || lowerCase(example) === example) return part;
  if (example.length > 1 && example === example.toUpperCase()) return part.toUpperCase();
  return part[0]!.toUpperCase() + part.slice(1);
}

/** A part is of one kind throughout. */
function isLetter(part: string): boolean {
  return /^[A-Za-z]/.test(part);
}
