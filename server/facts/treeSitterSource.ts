/**
 * Facts from the shape of the code alone, where no language server answers: declarations with their kinds,
 * and what a name looks like where it is used. Definitions in other files are not resolved here; the
 * collector does that for names that one file only declares.
 */

import type { Node, Parser } from "@vscode/tree-sitter-wasm";
import { TOKEN_MODIFIERS, TOKEN_TYPES, tokenTypeOfSymbolKind } from "../../model/index.ts";
import { createParser, hasGrammar } from "./grammars.ts";
import type {
  EvidenceBudget,
  FactSource,
  FileEvidence,
  IdentifierEvidence,
  SourceFile,
  SymbolEntry,
} from "./source.ts";

/** LSP SymbolKind of a declaring node, by the words in its type; the first that fits. */
const DECLARING: readonly (readonly [RegExp, number])[] = [
  [/^(function_declaration|function_definition|function_item|generator_function_declaration|function_signature(_item)?|local_function_statement)$/, 12], // prettier-ignore
  [/^(method_definition|method_declaration|method_signature|abstract_method_signature|method|singleton_method)$/, 6], // prettier-ignore
  [/^(constructor_declaration)$/, 9],
  [/^(class_declaration|abstract_class_declaration|class_definition|class_specifier|class|record_declaration)$/, 5], // prettier-ignore
  [/^(interface_declaration|trait_item|trait_declaration|annotation_type_declaration)$/, 11],
  [/^(enum_declaration|enum_item|enum_specifier)$/, 10],
  [/^(enum_variant|enum_assignment|enumerator|enum_constant|enum_member_declaration)$/, 22],
  [/^(struct_item|struct_specifier|struct_declaration|union_item|union_specifier)$/, 23],
  [/^(type_alias_declaration|type_item|type_spec|type_alias|alias_declaration)$/, 26],
  [/^(module|internal_module|mod_item|namespace_definition|namespace_declaration|package_clause)$/, 3], // prettier-ignore
  [/^(public_field_definition|property_signature|field_declaration|property_declaration)$/, 8],
  [/^(const_item|static_item|const_spec)$/, 14],
  [/^(variable_declarator|var_spec|init_declarator|let_declaration)$/, 13],
];

const kindOfType = new Map<string, number>();

function declaringKind(type: string): number {
  let kind = kindOfType.get(type);
  if (kind === undefined) {
    kind = DECLARING.find(([pattern]) => pattern.test(type))?.[1] ?? 0;
    kindOfType.set(type, kind);
  }
  return kind;
}

const IDENTIFIER = /(^|_)identifier$|^(name|constant|word|variable_name)$/;
const PARAMETER = /parameter/;
const CALL = /^(call|call_expression|method_invocation|invocation_expression|function_call_expression|new_expression|macro_invocation|command)$/; // prettier-ignore
const MEMBER = /^(member_expression|attribute|field_expression|selector_expression|member_access_expression|field_access|scoped_identifier)$/; // prettier-ignore
const TYPE_CONTEXT = /^(type_annotation|type|generic_type|type_arguments|superclass|extends_clause|implements_clause|class_heritage)$/; // prettier-ignore

export function createTreeSitterSource(): FactSource {
  const parsers = new Map<string, Promise<Parser>>();

  async function evidence(
    file: SourceFile,
    budget: EvidenceBudget,
    signal: AbortSignal,
  ): Promise<FileEvidence | undefined> {
    if (!hasGrammar(file.languageId)) return undefined;
    let parser = parsers.get(file.languageId);
    if (!parser) parsers.set(file.languageId, (parser = createParser(file.languageId)));
    const ready = await parser;
    if (signal.aborted) return undefined;
    const text = new TextDecoder().decode(file.bytes);
    const isPage = file.languageId === "vue" || file.languageId === "svelte";
    const tree = ready.parse(isPage ? scriptsOf(text) : text, null, {
      // One broken file must not use up everyone's time.
      progressCallback: () => performance.now() > budget.deadline || signal.aborted,
    });
    if (!tree) return undefined;
    try {
      return describe(file, tree.rootNode, budget.deadline);
    } finally {
      tree.delete();
    }
  }

  return {
    name: "tree-sitter",
    evidence,
    async dispose() {
      for (const parser of parsers.values())
        await parser.then(
          (ready) => ready.delete(),
          () => undefined,
        );
      parsers.clear();
    },
  };
}

/** A page with all but its scripts blanked, so that lines and columns stay. */
function scriptsOf(text: string): string {
  const blank = (part: string): string => part.replace(/[^\r\n]/g, " ");
  let script = "";
  let at = 0;
  for (const match of text.matchAll(/(<script\b[^>]*>)([\s\S]*?)<\/script>/gi)) {
    const start = match.index + match[1]!.length;
    script += blank(text.slice(at, start)) + match[2]!;
    at = start + match[2]!.length;
  }
  return script + blank(text.slice(at));
}

interface Use {
  readonly name: string;
  readonly tokenType: number;
  readonly declares: boolean;
}

/** Nodes between two looks at the clock. */
const NODES_PER_LOOK = 2000;

function describe(file: SourceFile, root: Node, deadline: number): FileEvidence {
  let nodes = 0;
  let isLate = false;
  const symbols: SymbolEntry[] = [];
  const uses: Use[] = [];
  /** Nodes that are the name of a declaration, with its kind. */
  const named = new Map<number, number>();

  const visit = (node: Node, container: string | undefined, isLocal: boolean): void => {
    if (++nodes % NODES_PER_LOOK === 0) isLate = performance.now() > deadline;
    if (isLate) return;
    let inside = container;
    let isInsideLocal = isLocal;
    let kind = declaringKind(node.type);
    // In Python and Ruby an assignment outside of functions is a declaration.
    if (node.type === "assignment" && !isLocal) kind = 13;
    const name = kind === 0 ? null : nameOf(node);
    if (name) {
      if (kind === 12 && isInClass(node)) kind = 6;
      named.set(name.id, kind);
      symbols.push({
        name: name.text,
        kind,
        container,
        path: file.path,
        startLine: name.startPosition.row,
        startCharacter: name.startPosition.column,
        endLine: node.endPosition.row,
        ...(isLocal ? { local: true as const } : {}),
      });
      inside = container === undefined ? name.text : `${container}.${name.text}`;
      isInsideLocal ||= kind === 12 || kind === 6 || kind === 9;
    } else if (isFunctionValue(node.type)) isInsideLocal = true;
    if (node.childCount === 0) {
      if (IDENTIFIER.test(node.type)) uses.push(useOf(node, named.get(node.id)));
      return;
    }
    for (const child of node.children) if (child) visit(child, inside, isInsideLocal);
  };
  visit(root, undefined, false);
  return { identifiers: countUses(file, symbols, uses), symbols, asked: 0, resolved: 0 };
}

const isFunctionValue = (type: string): boolean =>
  type === "arrow_function" || type === "function_expression" || type === "lambda";

/** The name of a declaration; C hides it in declarators, Python and Ruby on the left of '='. */
function nameOf(node: Node): Node | null {
  let found =
    node.childForFieldName("name") ??
    node.childForFieldName("pattern") ??
    node.childForFieldName("declarator") ??
    node.childForFieldName("left");
  for (let depth = 0; found && depth < 4 && !IDENTIFIER.test(found.type); depth++)
    found = found.childForFieldName("declarator") ?? found.childForFieldName("name");
  return found && IDENTIFIER.test(found.type) ? found : null;
}

function isInClass(node: Node): boolean {
  let parent = node.parent;
  for (let up = 0; parent && up < 3; up++, parent = parent.parent) {
    if (/^(function_|method_|arrow_)/.test(parent.type)) return false;
    if (/^(class|impl|trait|interface|struct)/.test(parent.type)) return true;
  }
  return false;
}

function useOf(node: Node, declaredKind: number | undefined): Use {
  const name = node.text;
  if (declaredKind !== undefined)
    return { name, tokenType: tokenTypeOfSymbolKind(declaredKind), declares: true };
  return { name, tokenType: typeByPlace(node), declares: false };
}

function typeByPlace(node: Node): number {
  const { parent } = node;
  if (!parent) return 0;
  const isMember =
    /^(property|field)_identifier$/.test(node.type) ||
    (MEMBER.test(parent.type) && parent.firstChild?.id !== node.id);
  const called = isMember ? parent : node;
  if (called.parent && CALL.test(called.parent.type) && called.parent.firstChild?.id === called.id)
    return isMember ? TOKEN_TYPES.method : TOKEN_TYPES.function;
  if (isMember) return TOKEN_TYPES.property;
  if (node.type === "type_identifier" || TYPE_CONTEXT.test(parent.type)) return TOKEN_TYPES.type;
  if (PARAMETER.test(parent.type)) return TOKEN_TYPES.parameter;
  return 0;
}

function countUses(
  file: SourceFile,
  symbols: readonly SymbolEntry[],
  uses: readonly Use[],
): IdentifierEvidence[] {
  // What the file declares says more of a name than the place it stands at.
  const declared = new Map<string, SymbolEntry>();
  for (const symbol of symbols)
    if (!declared.has(symbol.name) || !symbol.local) declared.set(symbol.name, symbol);
  const merged = new Map<string, IdentifierEvidence>();
  for (const use of uses) {
    const symbol = declared.get(use.name);
    const isOwn = symbol !== undefined && (use.declares || use.tokenType !== TOKEN_TYPES.property);
    const tokenType = isOwn ? tokenTypeOfSymbolKind(symbol.kind) : use.tokenType;
    const definition = isOwn && !symbol.local ? { path: file.path, name: use.name } : undefined;
    const modifiers = isOwn && symbol.kind === 14 ? TOKEN_MODIFIERS.readonly : 0;
    const id = `${use.name} ${tokenType} ${definition ? 1 : 0}`;
    const count = (merged.get(id)?.count ?? 0) + 1;
    merged.set(id, { name: use.name, tokenType, modifiers, definition, count });
  }
  return [...merged.values()];
}
