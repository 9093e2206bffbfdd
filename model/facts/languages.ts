/**
 * What the scanner knows of a language, by file extension: how comments and strings look, which words are
 * keywords, and which of them declare the next name. A wrong or missing row costs accuracy, never
 * correctness: the scanner accepts any bytes under any profile.
 */

import { SCOPE_KINDS, TOKEN_MODIFIERS, TOKEN_TYPES } from "./channels.ts";

/** What a declaring keyword makes of the next name. `kind` 0 opens no scope. */
export interface Declares {
  readonly type: number;
  readonly modifiers: number;
  readonly kind: number;
}

export interface Language {
  readonly name: string;
  /** Where scopes come from: brackets, or the depth of indentation (brackets count there too). */
  readonly scopes: "brackets" | "indent";
  readonly slashComments: boolean;
  readonly hashComments: boolean;
  readonly dashComments: boolean;
  readonly angleComments: boolean;
  readonly semicolonComments: boolean;
  readonly quotes: string;
  readonly templates: boolean;
  readonly tripleQuotes: boolean;
  readonly regexps: boolean;
  readonly lifetimes: boolean;
  /** Names may hold '-' (CSS, markup). */
  readonly dashNames: boolean;
  /** "Type name" declares a name (C and its kin). */
  readonly typeFirst: boolean;
  /** A name at the start of a statement in a class body declares a member. */
  readonly memberNames: boolean;
  /** "name =" at the start of a statement declares a variable; "name :=" anywhere in Go. */
  readonly assignDeclares: "none" | "equals" | "colonEquals";
  readonly keywords: ReadonlySet<string>;
  /** Keywords before a declaration that are a part of it: the statement has not begun yet. */
  readonly modifiers: ReadonlySet<string>;
  readonly declares: ReadonlyMap<string, Declares>;
  /** Declaring words that are names wherever they do not begin a statement. */
  readonly contextual: ReadonlySet<string>;
  readonly imports: ReadonlySet<string>;
}

/** Keywords that begin a statement whose "head (…) {" opens a plain block, in any language. */
export const CONTROL_WORDS: ReadonlySet<string> = new Set(
  "if else elif for foreach while do switch match loop when unless until case try catch finally except with return throw raise await yield defer go select lock synchronized checked fixed assert delete".split(
    " ",
  ),
);

const words = (text: string): ReadonlySet<string> => new Set(text.split(" ").filter(Boolean));

const DECLARES = {
  function: { type: TOKEN_TYPES.function, modifiers: 0, kind: SCOPE_KINDS.function },
  class: { type: TOKEN_TYPES.class, modifiers: 0, kind: SCOPE_KINDS.class },
  interface: { type: TOKEN_TYPES.interface, modifiers: 0, kind: SCOPE_KINDS.interface },
  struct: { type: TOKEN_TYPES.struct, modifiers: 0, kind: SCOPE_KINDS.struct },
  enum: { type: TOKEN_TYPES.enum, modifiers: 0, kind: SCOPE_KINDS.enum },
  namespace: { type: TOKEN_TYPES.namespace, modifiers: 0, kind: SCOPE_KINDS.namespace },
  type: { type: TOKEN_TYPES.type, modifiers: 0, kind: 0 },
  macro: { type: TOKEN_TYPES.macro, modifiers: 0, kind: SCOPE_KINDS.function },
  variable: { type: TOKEN_TYPES.variable, modifiers: 0, kind: 0 },
  constant: { type: TOKEN_TYPES.variable, modifiers: TOKEN_MODIFIERS.readonly, kind: 0 },
  label: { type: TOKEN_TYPES.label, modifiers: 0, kind: 0 },
} as const satisfies Record<string, Declares>;

/** "function:fn,def class:class" → keyword → what it declares. */
function declares(text: string): ReadonlyMap<string, Declares> {
  const result = new Map<string, Declares>();
  for (const group of text.split(" ")) {
    const [what, keywords] = group.split(":") as [keyof typeof DECLARES, string];
    for (const keyword of keywords.split(",")) result.set(keyword, DECLARES[what]);
  }
  return result;
}

const PLAIN: Language = {
  name: "text",
  scopes: "indent",
  slashComments: false,
  hashComments: false,
  dashComments: false,
  angleComments: false,
  semicolonComments: false,
  quotes: "",
  templates: false,
  tripleQuotes: false,
  regexps: false,
  lifetimes: false,
  dashNames: false,
  typeFirst: false,
  memberNames: false,
  assignDeclares: "none",
  keywords: new Set(),
  modifiers: new Set(),
  declares: new Map(),
  contextual: new Set(),
  imports: new Set(),
};

/** Unknown languages: brackets, the commonest comments and strings, no words known. */
const UNKNOWN: Language = {
  ...PLAIN,
  name: "unknown",
  scopes: "brackets",
  slashComments: true,
  quotes: "\"'",
};

const BRACES: Language = { ...UNKNOWN, name: "braces", typeFirst: true };

const TYPESCRIPT: Language = {
  ...UNKNOWN,
  name: "typescript",
  templates: true,
  regexps: true,
  memberNames: true,
  keywords: words(
    "abstract any as asserts async await boolean break case catch class const continue debugger declare default delete do else enum export extends false finally for from function get if implements import in infer instanceof interface is keyof let namespace never new null number object of out override private protected public readonly return satisfies set static string super switch symbol this throw true try type typeof undefined unique unknown using var void while with yield",
  ),
  modifiers: words(
    "export default declare abstract async public private protected static readonly override get set accessor",
  ),
  declares: declares(
    "function:function class:class interface:interface enum:enum namespace:namespace,module type:type variable:let,var constant:const,using",
  ),
  contextual: words("type namespace module using from get set of is async declare static"),
  imports: words("import"),
};

const PYTHON: Language = {
  ...PLAIN,
  name: "python",
  hashComments: true,
  quotes: "\"'",
  tripleQuotes: true,
  assignDeclares: "equals",
  keywords: words(
    "False None True and as assert async await break case class continue def del elif else except finally for from global if import in is lambda match nonlocal not or pass raise return try type while with yield",
  ),
  modifiers: words("async"),
  declares: declares("function:def class:class variable:for,as type:type"),
  contextual: words("match case type"),
  imports: words("import from"),
};

const RUST: Language = {
  ...UNKNOWN,
  name: "rust",
  quotes: '"',
  lifetimes: true,
  keywords: words(
    "Self as async await box break const continue crate dyn else enum extern false fn for if impl in let loop macro_rules match mod move mut pub ref return self static struct super trait true type union unsafe use where while",
  ),
  modifiers: words("pub async unsafe extern const mut ref crate"),
  declares: declares(
    "function:fn struct:struct,union enum:enum interface:trait class:impl namespace:mod type:type macro:macro_rules variable:let constant:const,static",
  ),
  contextual: words("union"),
  imports: words("use"),
};

const GO: Language = {
  ...UNKNOWN,
  name: "go",
  quotes: "\"'`",
  assignDeclares: "colonEquals",
  keywords: words(
    "break case chan const continue default defer else fallthrough false for func go goto if import interface iota map nil package range return select struct switch true type var",
  ),
  declares: declares("function:func type:type variable:var constant:const namespace:package"),
  imports: words("import"),
};

const JAVA: Language = {
  ...BRACES,
  name: "java",
  tripleQuotes: true,
  keywords: words(
    "abstract assert boolean break byte case catch char class const continue default do double else enum extends false final finally float for goto if implements import instanceof int interface long native new null package private protected public record return sealed short static strictfp super switch synchronized this throw throws transient true try var void volatile while yield",
  ),
  modifiers: words(
    "public private protected static final abstract native synchronized transient volatile strictfp sealed default",
  ),
  declares: declares(
    "class:class,record interface:interface enum:enum namespace:package variable:var",
  ),
  contextual: words("record"),
  imports: words("import"),
};

const CSHARP: Language = {
  ...BRACES,
  name: "csharp",
  keywords: words(
    "abstract as async await base bool break byte case catch char checked class const continue decimal default delegate do double else enum event explicit extern false finally fixed float for foreach get goto if implicit in init int interface internal is lock long namespace new null object operator out override params private protected public readonly record ref required return sbyte sealed set short sizeof stackalloc static string struct switch this throw true try typeof uint ulong unchecked unsafe ushort using var virtual void volatile when where while yield",
  ),
  modifiers: words(
    "public private protected internal static readonly abstract sealed override virtual async extern unsafe partial const required new volatile",
  ),
  declares: declares(
    "class:class,record interface:interface struct:struct enum:enum namespace:namespace variable:var",
  ),
  contextual: words("record get set init when where"),
  imports: words("using"),
};

const CPP: Language = {
  ...BRACES,
  name: "cpp",
  keywords: words(
    "alignas alignof asm auto bool break case catch char class co_await co_return co_yield concept const consteval constexpr const_cast continue decltype default define delete do double dynamic_cast elif else endif enum explicit export extern false final float for friend goto if ifdef ifndef include inline int long mutable namespace new noexcept nullptr operator override pragma private protected public register reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef typeid typename undef union unsigned using virtual void volatile wchar_t while",
  ),
  modifiers: words(
    "static inline extern const constexpr virtual explicit mutable volatile register friend export public private protected typename",
  ),
  declares: declares(
    "class:class struct:struct,union enum:enum namespace:namespace macro:define type:using,concept",
  ),
  contextual: words("concept final override"),
  imports: words("include"),
};

const OTHER_BRACES: Language = {
  ...BRACES,
  name: "other",
  memberNames: true,
  typeFirst: false,
  hashComments: false,
  templates: false,
  keywords: words(
    "abstract as async await break case catch class companion const continue data def default defer do else enum extends extension false fi final finally for foreach fun func function guard if implements implicit import in init internal interface is lazy let match module namespace new nil null object open operator override package private protected protocol public return sealed self static struct super suspend switch this throw throws trait true try type typealias use val var void when where while with yield",
  ),
  modifiers: words(
    "public private protected internal open final abstract static override suspend data sealed lazy implicit async",
  ),
  declares: declares(
    "function:fun,func,function,def class:class,object interface:interface,trait,protocol struct:struct enum:enum namespace:namespace,package,module type:typealias,type variable:var,let constant:val,const",
  ),
  contextual: words("data open object type match module init operator"),
  imports: words("import use"),
};

const RUBY: Language = {
  ...PLAIN,
  name: "ruby",
  hashComments: true,
  quotes: "\"'`",
  assignDeclares: "equals",
  keywords: words(
    "BEGIN END alias and begin break case class def defined do else elsif end ensure false for if in module next nil not or redo rescue retry return self super then true undef unless until when while yield require require_relative function local done fi esac",
  ),
  declares: declares("function:def,function class:class namespace:module variable:for,local"),
  imports: words("require require_relative import source"),
};

const HASH_CONFIG: Language = {
  ...PLAIN,
  name: "config",
  hashComments: true,
  quotes: "\"'",
  dashNames: true,
  keywords: words("true false null yes no on off"),
};

const MARKUP: Language = { ...PLAIN, name: "markup", angleComments: true, dashNames: true };

const CSS: Language = {
  ...UNKNOWN,
  name: "css",
  dashNames: true,
  keywords: words(
    "important media import charset supports keyframes font-face use include mixin extend if else for each while return function",
  ),
  imports: words("import use"),
};

const JSON_LIKE: Language = {
  ...UNKNOWN,
  name: "json",
  quotes: '"',
  keywords: words("true false null"),
};

const SQL: Language = {
  ...UNKNOWN,
  name: "sql",
  dashComments: true,
  keywords: words(
    "select from where insert into values update set delete create table index view drop alter join left right inner outer on group by order having limit and or not null is as in primary key foreign references default unique begin end if else then case when SELECT FROM WHERE INSERT INTO VALUES UPDATE SET DELETE CREATE TABLE INDEX VIEW DROP ALTER JOIN LEFT RIGHT INNER OUTER ON GROUP BY ORDER HAVING LIMIT AND OR NOT NULL IS AS IN PRIMARY KEY FOREIGN REFERENCES DEFAULT UNIQUE BEGIN END IF ELSE THEN CASE WHEN",
  ),
};

const LUA: Language = {
  ...RUBY,
  name: "lua",
  hashComments: false,
  dashComments: true,
  keywords: words(
    "and break do else elseif end false for function goto if in local nil not or repeat return then true until while require where let module import data type class instance deriving of case",
  ),
};

const LISP: Language = {
  ...UNKNOWN,
  name: "lisp",
  slashComments: false,
  semicolonComments: true,
  quotes: '"',
  dashNames: true,
  keywords: words(
    "define defun defn defmacro let lambda fn if cond do ns quote loop recur when unless",
  ),
  declares: declares("function:define,defun,defn macro:defmacro"),
};

const ROWS: readonly (readonly [Language, string])[] = [
  [TYPESCRIPT, "ts tsx mts cts js jsx mjs cjs vue svelte astro"],
  // A notebook is read as its script.
  [PYTHON, "py pyi pyw pyx ipynb bzl bazel star sage"],
  [RUST, "rs"],
  [GO, "go"],
  [JAVA, "java"],
  [CSHARP, "cs"],
  [
    CPP,
    "c h cc cpp cxx c++ hpp hh hxx h++ ipp tpp inl ino m mm cu cuh glsl vert frag wgsl hlsl metal proto",
  ],
  [OTHER_BRACES, "kt kts swift scala sc dart groovy gradle jenkinsfile php phtml zig v d sol hx"],
  [
    RUBY,
    "rb rake gemspec podspec ru gemfile rakefile podfile vagrantfile fastfile brewfile sh bash zsh fish pl pm r jl ex exs nim cr tcl ps1 psm1",
  ],
  [
    HASH_CONFIG,
    "yaml yml toml ini cfg conf env properties editorconfig gitignore dockerfile makefile mk cmake nix tf hcl",
  ],
  [
    MARKUP,
    "html htm xml svg xhtml xsd xsl xslt md mdx markdown rst plist xaml axaml csproj fsproj vbproj vcxproj props targets resx aml wxs storyboard cshtml razor jsp erb ejs eex heex leex hbs handlebars mustache twig njk jinja j2 liquid",
  ],
  [CSS, "css scss sass less styl"],
  [JSON_LIKE, "json jsonc json5 webmanifest"],
  [SQL, "sql"],
  [LUA, "lua hs purs elm ml mli fs fsx fsi"],
  [LISP, "lisp el clj cljs cljc scm rkt"],
  [PLAIN, "txt text log csv tsv"],
];

const BY_EXTENSION: ReadonlyMap<string, Language> = new Map(
  ROWS.flatMap(([language, extensions]) =>
    extensions.split(" ").map((e) => [e, language] as const),
  ),
);

/** Names whose extension misleads. */
const BY_NAME: ReadonlyMap<string, Language> = new Map([["cmakelists.txt", HASH_CONFIG]]);

const DATA: ReadonlySet<Language> = new Set([PLAIN, UNKNOWN, JSON_LIKE, MARKUP, HASH_CONFIG]);

/** Not written in a programming language, as far as its name tells: prose, markup, configuration, data. */
export const isDataFile = (path: string): boolean => DATA.has(languageOf(path));

/** The profile for a path: by its extension, or by its whole name where there is none (Makefile). */
export function languageOf(path: string): Language {
  const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
  return BY_NAME.get(name) ?? BY_EXTENSION.get(name.slice(name.lastIndexOf(".") + 1)) ?? UNKNOWN;
}
