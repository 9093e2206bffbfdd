/** One reader of the memory, going through one file from left to right. `predict` sees the bytes pushed so far and no
 *  other of that file. A cursor is a snapshot: later changes of the memory do not reach it. */

import { invariant } from "../errors.ts";
import { Analogies } from "./analogies.ts";
import { OWN_KINDS, type BlendWeights } from "./blendWeights.ts";
import { CodeContext } from "./codeContext.ts";
import { Levels } from "./levels.ts";
import { lineCopies, type LineCopy } from "./lineCopies.ts";
import { OwnContexts } from "./ownContexts.ts";
import { OwnIndex } from "./ownIndex.ts";
import type { PlaceEvidence } from "./placeEvidence.ts";
import { RankedBlend, type Lesson } from "./rankedBlend.ts";
import { renamedLines, type RenamedLine } from "./renamedLines.ts";
import { SegmentWalk } from "./segment.ts";
import type { TokenReader } from "./tokenReader.ts";

export interface MemoryPrediction {
  /** Longest context that was seen before, in bytes. */
  readonly matchLength: number;
  /** How often that context was seen. */
  readonly total: number;
  /** What else is known of the place, until the cursor goes on. */
  readonly evidence: PlaceEvidence;
}

export interface MemoryCursor {
  push(byte: number): void;
  /** The same for many bytes that nobody asks about in between, in less time. Not behind a prediction. */
  read(bytes: Uint8Array): void;
  /** Writes 256 probabilities that sum to 1 into `out`. */
  predict(out: Float64Array): MemoryPrediction;
  /** What most probably comes next, copied from the longest match; empty if there is no match to trust. */
  draft(maxBytes: number): Uint8Array;
  /** What stood behind earlier places like this one up to the end of their lines, of at most `maxBytes`. */
  lines(maxBytes: number): LineCopy[];
  /** The same with the names of this place, behind places that are alike but for names; best first. */
  renamedLines(maxBytes: number): RenamedLine[];
  /** A second reader at the same place; neither sees what the other is shown from here on. Not between a prediction
   *  and the byte it was about. */
  fork(): MemoryCursor;
}

/** Shorter matches are not worth a draft; a wrong one costs nothing that is seen. */
const DRAFT_ORDER = 2;
/** A draft ends where the most frequent continuation has less than this share. */
const DRAFT_SHARE = 0.2;
const ADAPT_RATE = 0.01;
const ADAPT_SEEN_LIMIT = 500;

export interface CursorParts {
  /** Segments whose counts are added (sign 1) or taken away (sign −1). */
  readonly walks: readonly SegmentWalk[];
  readonly weights: BlendWeights;
  readonly absorbOwn: 0 | 1;
  readonly adapt: 0 | 1;
  /** For analogies; only with `absorbOwn`. */
  readonly tokens?: TokenReader;
  /** What was read before, where this goes on from another cursor. */
  readonly own?: { readonly index: OwnIndex; readonly contexts: OwnContexts };
}

export class WalkCursor implements MemoryCursor {
  private readonly walks: readonly SegmentWalk[];
  private readonly drafts: readonly SegmentWalk[];
  private readonly own: OwnIndex | undefined;
  private readonly tokens: TokenReader | undefined;
  private readonly analogies: Analogies | undefined;
  private readonly workspaceLevels = new Levels();
  private readonly ownLevels: Levels | undefined;
  private readonly blend: RankedBlend;
  private readonly sharedWeights: BlendWeights;
  private readonly adapt: 0 | 1;
  private levelsAreFresh = false;
  private predicted = false;
  private readonly context = new CodeContext();
  private readonly ownContexts: OwnContexts | undefined;

  constructor(parts: CursorParts) {
    this.walks = parts.walks;
    this.drafts = parts.walks.map(
      (walk) => new SegmentWalk(walk.segment, walk.sign, [], walk.maxOrder),
    );
    if (parts.absorbOwn === 1) {
      this.own = parts.own?.index ?? new OwnIndex();
      this.ownContexts = parts.own?.contexts ?? new OwnContexts();
    }
    this.ownLevels = this.own === undefined ? undefined : new Levels();
    this.blend = new RankedBlend(parts.weights);
    this.sharedWeights = parts.weights;
    this.adapt = parts.adapt;
    this.tokens = parts.tokens;
    this.analogies = parts.tokens === undefined ? undefined : new Analogies();
  }

  push(byte: number): void {
    if (this.predicted && this.adapt === 1) this.adaptTo(byte);
    for (const walk of this.walks) walk.push(byte);
    this.absorb(byte);
    this.levelsAreFresh = false;
    this.predicted = false;
  }

  read(bytes: Uint8Array): void {
    invariant(!this.predicted, "bytes were read between a prediction and the byte it was about");
    for (const walk of this.walks) walk.read(bytes);
    for (const byte of bytes) this.absorb(byte);
    this.levelsAreFresh = false;
  }

  /** What the file itself tells from a byte. */
  private absorb(byte: number): void {
    this.own?.push(byte);
    if (this.tokens !== undefined) this.analogies!.push(byte, this.tokens.push(byte));
    if (this.ownContexts !== undefined)
      for (const kind of OWN_KINDS) this.ownContexts.add(this.context.hash[kind]!, byte);
    this.context.push(byte);
  }

  predict(out: Float64Array): MemoryPrediction {
    this.refreshLevels();
    if (this.tokens !== undefined) this.analogies!.settle(this.tokens);
    const evidence = this.blend.predict(
      {
        workspace: this.workspaceLevels,
        own: this.ownLevels,
        walks: this.walks,
        ownContexts: this.ownContexts,
        context: this.context,
        analogies: this.analogies,
      },
      out,
    );
    this.predicted = true;
    return { ...this.longest(), evidence };
  }

  /** Corrects the weights that were given to the constructor, which calibration means to change. */
  learn(lesson: Lesson): void {
    this.blend.learn(lesson);
    this.predicted = false;
  }

  /** The first correction makes the weights this cursor's own. */
  private adaptTo(byte: number): void {
    if (this.blend.weights === this.sharedWeights) {
      this.blend.weights = this.sharedWeights.copy({ seenLimit: ADAPT_SEEN_LIMIT });
    }
    this.blend.learn({ byte, rate: ADAPT_RATE, seenLimit: ADAPT_SEEN_LIMIT });
  }

  fork(): WalkCursor {
    invariant(!this.predicted, "a cursor was forked between a prediction and its byte");
    const fork = new WalkCursor({
      walks: this.walks.map((walk) => {
        const copy = new SegmentWalk(walk.segment, walk.sign, walk.contexts, walk.maxOrder);
        copy.copyFrom(walk);
        return copy;
      }),
      weights: this.sharedWeights,
      absorbOwn: this.own === undefined ? 0 : 1,
      adapt: this.adapt,
      ...(this.own === undefined
        ? {}
        : { own: { index: this.own.copy(), contexts: this.ownContexts!.copy() } }),
      ...(this.tokens === undefined ? {} : { tokens: this.tokens.copy() }),
    });
    if (this.blend.weights !== this.sharedWeights)
      fork.blend.weights = this.blend.weights.copy({ seenLimit: Infinity });
    fork.context.copyFrom(this.context);
    if (this.analogies !== undefined) fork.analogies!.copyFrom(this.analogies);
    return fork;
  }

  draft(maxBytes: number): Uint8Array {
    this.refreshLevels();
    const workspace = this.workspaceLevels;
    const workspaceOrder = workspace.levels === 0 ? 0 : workspace.order[0]!;
    const own = this.ownLevels;
    const ownOrder = own === undefined || own.levels === 0 ? 0 : own.order[0]!;
    if (Math.max(workspaceOrder, ownOrder) < DRAFT_ORDER) return new Uint8Array(0);
    if (this.own !== undefined && ownOrder > workspaceOrder)
      return this.own.copyFromLatest(maxBytes);
    return this.copyFromWorkspace(maxBytes);
  }

  lines(maxBytes: number): LineCopy[] {
    return lineCopies(this.walks, this.own, maxBytes);
  }

  renamedLines(maxBytes: number): RenamedLine[] {
    return this.tokens === undefined ? [] : renamedLines(this.tokens, maxBytes);
  }

  private copyFromWorkspace(maxBytes: number): Uint8Array {
    const { drafts, walks } = this;
    for (let i = 0; i < walks.length; i++) drafts[i]!.copyFrom(walks[i]!);
    const levels = new Levels();
    const draft: number[] = [];
    while (draft.length < maxBytes) {
      levels.fromWalks(drafts);
      if (levels.levels === 0 || levels.order[0]! < DRAFT_ORDER) break;
      let best = 0;
      let bestCount = 0;
      for (let i = 0; i < levels.size[0]!; i++) {
        const byte = levels.byteOf[0]![levels.start[0]! + i]!;
        const count = levels.countOf[0]![levels.start[0]! + i]!;
        if (count > bestCount || (count === bestCount && byte < best)) {
          best = byte;
          bestCount = count;
        }
      }
      if (bestCount < DRAFT_SHARE * levels.total[0]!) break;
      draft.push(best);
      for (const walk of drafts) walk.push(best);
    }
    return Uint8Array.from(draft);
  }

  private refreshLevels(): void {
    if (this.levelsAreFresh) return;
    this.workspaceLevels.fromWalks(this.walks);
    if (this.ownLevels !== undefined) this.own!.levels(this.ownLevels);
    this.levelsAreFresh = true;
  }

  private longest(): Omit<MemoryPrediction, "evidence"> {
    const workspace = this.workspaceLevels;
    const own = this.ownLevels;
    const workspaceOrder = workspace.levels === 0 ? -1 : workspace.order[0]!;
    const ownOrder = own === undefined || own.levels === 0 ? -1 : own.order[0]!;
    let total = 0;
    if (workspaceOrder >= ownOrder && workspaceOrder >= 0) total += workspace.total[0]!;
    if (ownOrder >= workspaceOrder && ownOrder >= 0) total += own!.total[0]!;
    return { matchLength: Math.max(workspaceOrder, ownOrder, 0), total };
  }
}
