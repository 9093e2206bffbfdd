/**
 * What a definition looks like in languages that no grammar reads for us and whose words differ from the common
 * ones. Each line is judged alone; the first pattern that fits names what is defined, and a qualified name is known
 * by its last part. `~` stands for a character of a name, lines being UTF-8 read as latin1.
 */

interface Shape {
  readonly pattern: RegExp;
  /** The word for people, or the number of the group that holds it. */
  readonly kind: string | 1;
}

const shape = (source: string, kind: Shape["kind"], flags = ""): Shape => ({
  pattern: new RegExp(source.replaceAll("~", "[\\w\\x80-\\xff]"), flags),
  kind,
});

/** Words and annotations before a declaration. */
const MODIFIERS =
  "^\\s*(?:@[\\w.:]+(?:\\([^)]*\\))?\\s+|[a-z]+(?:\\([a-z]+\\)|\\[[\\w.]+\\])?\\s+)*?";

const ELIXIR = [
  shape("^\\s*def(?:module|protocol|impl)\\s+(?:~+\\.)*(?<name>[A-Z]~*)", "module"),
  shape("^\\s*defmacrop?\\s+(?<name>[a-z_]~*[?!]?)", "macro"),
  shape("^\\s*def(?:p|delegate|guardp?|n|np)?\\s+(?<name>[a-z_]~*[?!]?)", "function"),
];

const LUA = [
  shape("^\\s*(?:local\\s+)?function\\s+(?:~+[.:])*(?<name>~+)", "function"),
  shape("^\\s*(?:local\\s+)?(?:~+\\.)*(?<name>[A-Za-z_]~*)\\s*=\\s*function\\b", "function"),
  // A local that repeats a name of elsewhere stands for it and defines nothing.
  shape(
    "^local\\s+(?<name>[A-Za-z_]~*)\\s*(?:<\\w+>\\s*)?=(?!.*(?:\\.|\\brequire\\b.*)\\k<name>\\W*$)",
    "variable",
  ),
  shape("^(?:~+\\.)+(?<name>[A-Za-z_]~*)\\s*=(?!=)", "field"),
];

const HASKELL = [
  shape("^(?<name>[a-z_][\\w']*)\\s*(?:,[\\w', ]+)?::", "function"),
  shape("^(?:data|newtype|type(?:\\s+family)?)\\s+(?:[^=]*=>\\s*)?(?<name>[A-Z][\\w']*)", "type"),
  shape("^class\\s+(?:.*=>\\s*)?(?<name>[A-Z][\\w']*)", "class"),
  shape("^module\\s+(?:\\w+\\.)*(?<name>[A-Z][\\w']*)", "module"),
];

const ELM = [
  shape("^(?<name>[a-z]\\w*)\\s*:\\s", "function"),
  shape("^(?:port\\s+)?(?:type(?:\\s+alias)?)\\s+(?<name>[A-Z]\\w*)", "type"),
];

const ML = [
  shape(
    "^\\s*(?:module|namespace)\\s+(?:type\\s+|rec\\s+)?(?:\\w+\\.)*(?<name>[A-Z]\\w*)",
    "module",
  ),
  shape("^\\s*type\\s+(?:rec\\s+)?(?:\\([^)]*\\)\\s*|'\\w+\\s+)?(?<name>\\w[\\w']*)", "type"),
  shape("^\\s*(?:override|member|abstract|default)\\s+(?:\\w+\\.)?(?<name>\\w+)", "method"),
  shape(
    "^(?: {0,4})(?:let|and|val|external)(?:\\s+(?:rec|inline|private|mutable))*\\s+(?<name>[a-z_][\\w']*)",
    "function",
  ),
];

const KOTLIN = [
  shape(`${MODIFIERS}fun\\s+(?:<[^>]*>\\s*)?(?:[^\\s().]+\\.)*\`?(?<name>[A-Za-z_]~*)`, "function"),
  shape(`${MODIFIERS}(class|interface|object|typealias)\\s+(?<name>[A-Za-z_]~*)`, 1),
  shape(
    `${MODIFIERS}va[lr]\\s+(?:<[^>]*>\\s*)?(?:[^\\s().:=]+\\.)*(?<name>[A-Za-z_]~*)`,
    "variable",
  ),
];

const SCALA = [
  shape(`${MODIFIERS}def\\s+(?<name>[A-Za-z_]~*)`, "function"),
  shape(`${MODIFIERS}(class|trait|object|enum|type)\\s+(?<name>[A-Z]~*)`, 1),
  shape(`${MODIFIERS}(?:val|var|given)\\s+(?<name>[A-Za-z_]~*)`, "variable"),
];

const SWIFT = [
  shape(`${MODIFIERS}func\\s+(?<name>[A-Za-z_]~*)`, "function"),
  shape(
    `${MODIFIERS}(class|struct|enum|protocol|extension|actor|typealias)\\s+(?:~+\\.)*(?<name>[A-Z]~*)`,
    1,
  ),
  shape(`${MODIFIERS}(?:let|var)\\s+(?<name>[A-Za-z_]~*)`, "variable"),
];

const RUBY = [
  shape("^\\s*def\\s+(?:self\\.)?(?<name>[A-Za-z_]~*[?!]?)", "method"),
  shape("^\\s*(class|module)\\s+(?:~+::)*(?<name>[A-Z]~*)", 1),
];

const LISP = [
  shape(
    "^\\s*\\((?:defn-?|defun|defmacro|defmulti|defmethod|define-syntax(?:-rule)?|define)\\s+\\(?(?:\\^\\S+\\s+)*(?<name>[^\\s()[\\]]+)",
    "function",
  ),
  shape(
    "^\\((?:defprotocol|defrecord|deftype|defstruct|defclass)\\s+(?<name>[^\\s()[\\]]+)",
    "type",
  ),
  shape(
    "^\\((?:def|defonce|defvar|defparameter|defconst)\\s+(?:\\^\\S+\\s+)*(?<name>[^\\s()[\\]]+)",
    "variable",
  ),
];

const ERLANG = [
  shape("^(?<name>[a-z]\\w*)\\([^)]*\\)\\s*(?:when\\b.*)?->", "function"),
  shape("^-(?:record|define|type|opaque)\\(?\\s*(?<name>\\w+)", "type"),
];

const R = [shape("^\\s*(?<name>[A-Za-z.][\\w.]*)\\s*(?:<-|=)\\s*function\\b", "function")];

const JULIA = [
  shape("^\\s*(?:function|macro)\\s+(?:\\w+\\.)*(?<name>[A-Za-z_]~*!?)", "function"),
  shape("^(?<name>[A-Za-z_]~*!?)\\([^=]*\\)\\s*=(?!=)", "function"),
  shape("^\\s*(?:mutable\\s+struct|struct|abstract\\s+type|module)\\s+(?<name>[A-Z]~*)", "type"),
];

const POWERSHELL = [
  shape("^\\s*(?:function|filter)\\s+(?:\\w+:)?(?<name>[A-Za-z][\\w-]*)", "function", "i"),
];

const PERL = [
  shape("^\\s*sub\\s+(?<name>\\w+)", "function"),
  shape("^\\s*package\\s+(?:\\w+::)*(?<name>\\w+)", "module"),
];

const SQL = [
  shape(
    '^\\s*create\\s+(?:or\\s+(?:replace|alter)\\s+)?(?:temp(?:orary)?\\s+|unique\\s+|materialized\\s+)*(table|view|index|function|procedure|trigger|type)\\s+(?:if\\s+not\\s+exists\\s+)?(?:[`"[]?\\w+[`"\\]]?\\.)*[`"[]?(?<name>\\w+)',
    1,
    "i",
  ),
];

const PROTO = [shape("^\\s*(message|service|enum|rpc)\\s+(?<name>\\w+)", 1)];

const TERRAFORM = [
  shape('^(resource|data)\\s+"[^"]+"\\s+"(?<name>[^"]+)"', 1),
  shape('^(variable|output|module|provider)\\s+"(?<name>[^"]+)"', 1),
];

const SHAPES: ReadonlyMap<string, readonly Shape[]> = new Map(
  (
    [
      ["ex exs", ELIXIR],
      ["lua", LUA],
      ["hs purs", HASKELL],
      ["elm", ELM],
      ["ml mli fs fsx fsi", ML],
      ["kt kts", KOTLIN],
      ["scala sc", SCALA],
      ["swift", SWIFT],
      ["rb rake", RUBY],
      ["clj cljs cljc lisp el scm rkt", LISP],
      ["erl hrl", ERLANG],
      ["r", R],
      ["jl", JULIA],
      ["ps1 psm1", POWERSHELL],
      ["pl pm t", PERL],
      ["sql", SQL],
      ["proto", PROTO],
      ["tf", TERRAFORM],
    ] as const
  ).flatMap(([extensions, shapes]) => extensions.split(" ").map((one) => [one, shapes] as const)),
);

/** The shapes for a path's language; undefined where the common ones do. */
export function shapesOf(path: string): readonly Shape[] | undefined {
  return SHAPES.get(path.slice(path.lastIndexOf(".") + 1).toLowerCase());
}

export function definitionByShape(
  shapes: readonly Shape[],
  line: string,
): { name: string; kind: string } | undefined {
  for (const { pattern, kind } of shapes) {
    const match = pattern.exec(line);
    const name = match?.groups?.["name"];
    if (name !== undefined) return { name, kind: kind === 1 ? match![1]!.toLowerCase() : kind };
  }
  return undefined;
}
