/* Files that the bundler (and vitest) turn into values: shader and Python text, and WebAssembly bytes. */

declare module "*.wgsl" {
  const source: string;
  export default source;
}

declare module "*.py" {
  const source: string;
  export default source;
}

declare module "*.wasm" {
  const bytes: Uint8Array<ArrayBuffer>;
  export default bytes;
}
