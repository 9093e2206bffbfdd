/** Segments over a changing set of files. New files go into small segments that are merged into larger ones as they
 *  add up (the logarithmic method), so one changed file never rebuilds the index of all others. A file that is gone
 *  from a large segment is counted a second time, in a segment of sign −1; counts stay exact throughout. */

import { ROW_DEPTH, SHALLOW_ROW_DEPTH } from "./rowIndex.ts";
import { rowHelpers } from "./rowThreads.ts";
import { MAX_ORDER, Segment, SegmentWalk } from "./segment.ts";
import type { TokenSource } from "./tokenReader.ts";
import { TokenSegment } from "./tokenSegment.ts";

/** A segment up to this size is rebuilt as soon as one of its files is gone. */
const SMALL_BYTES = 256 * 1024;
/** A larger one when this share of it is gone. */
const GONE_SHARE = 0.25;
/** Files from this size have a segment of their own, so that leaving one out costs nothing. */
const LARGE_FILE_BYTES = 2 * 1024 * 1024;
/** Workspaces of more bytes than this are asked less, or building the index would take too long: `hashed`, at their
 *  orders only, without tables of hashed contexts and an index of tokens; `deep`, at shorter orders. */
const LIMITS = { hashed: 16 * 1024 * 1024, deep: 32 * 1024 * 1024 } as const;
/** Indexes of files to leave out that are kept for the next reader. */
const KEPT_EXCLUSIONS = 4;

interface Member {
  readonly segment: Segment;
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly gone: Set<string>;
  /** Made when it is first asked for. */
  tokens?: TokenSegment;
}

export class SegmentSet {
  private members: Member[] = [];
  private readonly home = new Map<string, Member>();
  private readonly waiting = new Map<string, Uint8Array>();
  private negative: Segment | undefined;
  private negativeIsStale = false;
  private readonly exclusions = new Map<string, Segment>();
  private readonly limits: { readonly hashed: number; readonly deep: number };

  constructor(limits: { readonly hashed: number; readonly deep: number } = LIMITS) {
    this.limits = limits;
  }

  add(path: string, bytes: Uint8Array): void {
    this.waiting.set(path, bytes);
  }

  remove(path: string): void {
    this.exclusions.delete(path);
    this.waiting.delete(path);
    const member = this.home.get(path);
    if (member === undefined) return;
    member.gone.add(path);
    this.home.delete(path);
    this.negativeIsStale = true;
  }

  /** One walk per segment at the beginning of a file; `exclude` takes one file's counts away. */
  walks(exclude: string | undefined): SegmentWalk[] {
    this.settle();
    const excluded = exclude === undefined ? undefined : this.home.get(exclude);
    const left = this.countedBytes - (excluded?.files.get(exclude!)!.length ?? 0);
    const counted: [Segment, 1 | -1][] = [];
    for (const member of this.members) {
      const onlyExcluded = member === excluded && member.files.size === 1;
      if (!onlyExcluded) counted.push([member.segment, 1]);
    }
    if (this.negative !== undefined) counted.push([this.negative, -1]);
    if (excluded !== undefined && excluded.files.size > 1)
      counted.push([this.exclusion(exclude!, excluded.files.get(exclude!)!), -1]);
    // What one segment cannot say is not asked of any: what is taken away must have been counted.
    const maxOrder = Math.min(MAX_ORDER, ...counted.map(([segment]) => segment.depth));
    return counted.map(
      ([segment, sign]) =>
        new SegmentWalk(
          segment,
          sign,
          left > this.limits.hashed ? [] : segment.contexts(),
          maxOrder,
        ),
    );
  }

  /** Where rows of tokens are looked up; `exclude` and files that are gone are hidden. */
  tokenSources(exclude: string | undefined): TokenSource[] {
    this.settle();
    const excluded = exclude === undefined ? undefined : this.home.get(exclude);
    if (this.countedBytes - (excluded?.files.get(exclude!)!.length ?? 0) > this.limits.hashed)
      return [];
    return this.members.map((member) => {
      const hidden = new Set<number>();
      for (const [i, path] of [...member.files.keys()].entries())
        if (member.gone.has(path) || (member === excluded && path === exclude)) hidden.add(i);
      return { tokens: tokensOf(member), hidden };
    });
  }

  /** Bytes of all files that are in segments and not gone. */
  private get countedBytes(): number {
    let bytes = 0;
    for (const member of this.members)
      bytes += member.segment.rows - member.files.size - goneBytes(member) + member.gone.size;
    return bytes;
  }

  get sizeBytes(): number {
    let size = this.negative?.sizeBytes ?? 0;
    for (const { segment, tokens } of this.members)
      size += segment.sizeBytes + (tokens?.sizeBytes ?? 0);
    for (const segment of this.exclusions.values()) size += segment.sizeBytes;
    return size;
  }

  /** Brings the segments up to date with every add and remove. */
  settle(): void {
    if (this.waiting.size === 0 && !this.negativeIsStale) return;
    const kept: Member[] = [];
    for (const member of this.members) {
      const limit = member.segment.rows <= SMALL_BYTES ? 0 : member.segment.rows * GONE_SHARE;
      if (goneBytes(member) > limit || (member.gone.size > 0 && limit === 0)) this.dissolve(member);
      else kept.push(member);
    }
    const large: [string, Uint8Array][] = [];
    this.members = kept;
    let total = this.countedBytes;
    for (const bytes of this.waiting.values()) total += bytes.length;
    const depth = total > this.limits.deep ? SHALLOW_ROW_DEPTH : ROW_DEPTH;
    let size = 0;
    for (const [path, bytes] of this.waiting) {
      if (bytes.length < LARGE_FILE_BYTES) size += bytes.length;
      else large.push([path, bytes]);
    }
    for (const [path] of large) this.waiting.delete(path);
    // Larger first. A segment less than twice as large as what is new is merged with it.
    const shared = kept
      .filter((member) => !isLargeFile(member))
      .sort((a, b) => b.segment.rows - a.segment.rows);
    while (this.waiting.size > 0 && shared.length > 0 && shared.at(-1)!.segment.rows < 2 * size) {
      const member = shared.pop()!;
      size += member.segment.rows - goneBytes(member);
      this.dissolve(member);
    }
    this.members = [...kept.filter(isLargeFile), ...shared];
    if (this.waiting.size > 0) this.makeMember(new Map(this.waiting), depth);
    for (const file of large) this.makeMember(new Map([file]), depth);
    this.waiting.clear();
    if (this.negativeIsStale) {
      const gone = this.members.flatMap((member) =>
        [...member.gone].map((path) => member.files.get(path)!),
      );
      this.negative = gone.length === 0 ? undefined : new Segment(gone);
      this.negativeIsStale = false;
    }
    // Now, and not when the first reader waits for its first byte.
    if (this.countedBytes <= this.limits.hashed)
      for (const member of this.members) {
        member.segment.contexts();
        tokensOf(member);
      }
  }

  private makeMember(files: ReadonlyMap<string, Uint8Array>, depth: number): void {
    let size = 0;
    for (const bytes of files.values()) size += bytes.length;
    const segment = new Segment([...files.values()], { depth, join: rowHelpers(size) });
    const member: Member = { segment, files, gone: new Set() };
    for (const path of files.keys()) this.home.set(path, member);
    this.members.push(member);
  }

  /** Puts the files that are left of a segment back among the waiting ones. */
  private dissolve(member: Member): void {
    if (member.gone.size > 0) this.negativeIsStale = true;
    for (const [path, bytes] of member.files) {
      if (member.gone.has(path)) continue;
      this.waiting.set(path, bytes);
      this.home.delete(path);
    }
  }

  private exclusion(path: string, bytes: Uint8Array): Segment {
    let segment = this.exclusions.get(path);
    if (segment === undefined) {
      segment = new Segment([bytes]);
      if (this.exclusions.size >= KEPT_EXCLUSIONS)
        this.exclusions.delete(this.exclusions.keys().next().value!);
      this.exclusions.set(path, segment);
    }
    return segment;
  }
}

function tokensOf(member: Member): TokenSegment {
  return (member.tokens ??= new TokenSegment([...member.files.values()]));
}

function goneBytes(member: Member): number {
  let bytes = 0;
  for (const path of member.gone) bytes += member.files.get(path)!.length + 1;
  return bytes;
}

function isLargeFile(member: Member): boolean {
  return member.files.size === 1 && member.segment.rows > LARGE_FILE_BYTES;
}
