/**
 * Facts about the repository as a whole: folders are layers, files have no import cycles, the
 * manifest says what the code does. The settings section of package.json is rewritten when it is
 * stale, and the test fails once so that the change is seen.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { configurationSection } from "../server/settings.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const layers = ["extension", "server", "model", "media", "test"];

interface Manifest {
  main: string;
  bin: Record<string, string>;
  icon: string;
  type: string;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
  contributes: {
    commands?: { command: string; title: string; category: string }[];
    configuration?: unknown;
    walkthroughs?: { steps: { media: Record<string, string> }[] }[];
  };
}

const manifestPath = join(root, "package.json");
const manifest = JSON.parse(readFileSync(manifestPath, "utf8")) as Manifest;

const sources = layers.flatMap((layer) =>
  readdirSync(join(root, layer), { recursive: true, encoding: "utf8" })
    .map((name) => join(layer, name))
    .filter((path) => /\.ts$/.test(path) && !path.startsWith("model/cpu/simd/assembly")),
);

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

/** Relative imports of a file, from its text: the house style keeps them one statement each. */
function importsOf(path: string): Import[] {
  const text = readFileSync(join(root, path), "utf8");
  const found: Import[] = [];
  const statement =
    /^\s*(?:import|export)\s+(type\s+)?(?:[^"'`;]*?\sfrom\s+)?"(\.{1,2}\/[^"]+)"|import\(\s*"(\.{1,2}\/[^"]+)"\s*\)/gm;
  for (const match of text.matchAll(statement))
    found.push({
      from: path,
      to: normalize(join(dirname(path), (match[2] ?? match[3])!)),
      typeOnly: match[1] !== undefined,
    });
  return found;
}

const imports = sources.flatMap(importsOf);
const layerOf = (path: string) => path.split("/")[0]!;

/** What each layer may take from outside itself. */
const allowed: Record<string, (target: Import) => boolean> = {
  extension: ({ to }) => to === "server/protocol.ts" || to === "server/settings.ts",
  server: ({ to }) => to === "model/index.ts" || to === "model/protocol.ts",
  model: () => false,
  media: ({ to, typeOnly }) => to === "server/protocol.ts" && typeOnly,
  test: () => true,
};

describe("the layers", () => {
  test("import only what the fence allows", () => {
    const wrong = imports
      .filter((i) => layerOf(i.to) !== layerOf(i.from) && !allowed[layerOf(i.from)]!(i))
      .map((i) => `${i.from} imports ${i.to}`);
    expect(wrong).toEqual([]);
  });

  test("reach nothing outside the five folders and the manifest", () => {
    const wrong = imports
      .filter((i) => !layers.includes(layerOf(i.to)) && i.to !== "package.json")
      .map((i) => `${i.from} imports ${i.to}`);
    expect(wrong).toEqual([]);
  });

  test("import values without cycles", () => {
    const graph = new Map<string, string[]>();
    for (const i of imports)
      if (!i.typeOnly) graph.set(i.from, [...(graph.get(i.from) ?? []), i.to]);
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: string[]) => {
      const seen = trail.indexOf(path);
      if (seen >= 0) cycles.push([...trail.slice(seen), path].join(" → "));
      if (seen >= 0 || done.has(path)) return;
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    for (const path of graph.keys()) visit(path, []);
    expect(cycles).toEqual([]);
  });

  test("have only imports that lead to a file", () => {
    const generated = "model/cpu/simd/build/kernels.wasm";
    const dangling = imports
      .filter((i) => i.to !== generated && !existsSync(join(root, i.to)))
      .map((i) => `${i.from} imports ${i.to}`);
    expect(dangling).toEqual([]);
  });
});

describe("privacy", () => {
  test("holds: no source of ours can open a network connection", () => {
    const network =
      /from "(?:node:)?(?:https?|http2|net|tls|dgram|dns|undici|ws)(?:\/[^"]*)?"|\bfetch\(|\bXMLHttpRequest\b|\bnew WebSocket\b|\bsendBeacon\b/;
    const found = sources.filter(
      (path) => layerOf(path) !== "test" && network.test(readFileSync(join(root, path), "utf8")),
    );
    expect(found).toEqual([]);
  });
});

describe("package.json", () => {
  test("pins every dependency to one version", () => {
    const loose = Object.entries({
      ...manifest.dependencies,
      ...manifest.devDependencies,
      ...manifest.optionalDependencies,
    }).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version));
    expect(loose).toEqual([]);
  });

  test("keeps both ends of the language server protocol at one version", () => {
    expect(manifest.dependencies["vscode-languageclient"]).toBe(
      manifest.dependencies["vscode-languageserver"],
    );
  });

  test("has the settings that server/settings.ts describes", () => {
    const want = JSON.parse(JSON.stringify(configurationSection())) as unknown;
    const stale = JSON.stringify(manifest.contributes.configuration) !== JSON.stringify(want);
    if (stale && !process.env["CI"]) {
      const text = JSON.parse(readFileSync(manifestPath, "utf8")) as Manifest;
      text.contributes.configuration = want;
      writeFileSync(manifestPath, `${JSON.stringify(text, null, 2)}\n`);
    }
    expect(stale, "package.json was out of date; it has been rewritten").toBe(false);
  });

  test("contributes the commands that the extension registers", () => {
    const contributed = (manifest.contributes.commands ?? []).map((c) => c.command).sort();
    const text = sources
      .filter((path) => layerOf(path) === "extension")
      .map((path) => readFileSync(join(root, path), "utf8"))
      .join("\n");
    expect(contributed.length).toBeGreaterThan(0);
    const missing = contributed.filter(
      (command) =>
        !text.includes(`"${command}"`) &&
        !text.includes(`${command.replace(/^narrowgauge\./, "")}:`),
    );
    expect(missing).toEqual([]);
  });

  test("points at files that exist", () => {
    const named = [
      manifest.icon,
      ...(manifest.contributes.walkthroughs ?? []).flatMap((w) =>
        w.steps.flatMap((s) => Object.values(s.media).filter((v) => v.includes("/"))),
      ),
    ];
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});

describe("the files", () => {
  test("are on their side of the line limit", () => {
    const long = sources
      .map((path) => ({ path, lines: readFileSync(join(root, path), "utf8").split("\n").length }))
      .filter(({ lines }) => lines > 600);
    expect(long).toEqual([]);
  });

  test("say what they are in a header comment", () => {
    const bare = sources.filter(
      (path) =>
        !path.endsWith(".test.ts") &&
        !/^(#!.*\n)?\s*(\/\*|\/\/)/.test(readFileSync(join(root, path), "utf8")),
    );
    expect(bare).toEqual([]);
  });
});
