/**
 * Compiles kernels. The cache key is the source text itself with its constants, so nothing that is baked into a
 * pipeline can be forgotten in the key; concurrent requests for one key share a compile.
 */
import { KernelCompileError } from "../errors.ts";
import type { GpuKernel } from "../graph.ts";
import { slowly, TURN_MS } from "./slowTurns.ts";

export class Pipelines {
  readonly #device: GPUDevice;
  readonly #modules = new Map<string, GPUShaderModule>();
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  get(kernel: GpuKernel, name: string): Promise<GPUComputePipeline> {
    const constants = Object.entries(kernel.constants).sort(([a], [b]) => (a < b ? -1 : 1));
    const key = `${kernel.entryPoint}\u0000${JSON.stringify(constants)}\u0000${kernel.code}`;
    let pipeline = this.#pipelines.get(key);
    if (pipeline === undefined) {
      pipeline = this.#compile(kernel, name);
      this.#pipelines.set(key, pipeline);
    }
    return pipeline;
  }

  async #compile(kernel: GpuKernel, name: string): Promise<GPUComputePipeline> {
    let module = this.#modules.get(kernel.code);
    if (module === undefined) {
      module = this.#device.createShaderModule({ code: kernel.code, label: name });
      this.#modules.set(kernel.code, module);
    }
    try {
      const pipeline = this.#device.createComputePipelineAsync({
        label: name,
        layout: "auto",
        compute: { module, entryPoint: kernel.entryPoint, constants: { ...kernel.constants } },
      });
      return await slowly(pipeline, TURN_MS.compiling);
    } catch (cause) {
      const info = await module.getCompilationInfo();
      const lines = info.messages
        .filter((m) => m.type === "error")
        .map((m) => `${m.lineNum}:${m.linePos} ${m.message}`);
      throw new KernelCompileError(
        "NG_KERNEL_COMPILE",
        `kernel ${name} (${kernel.entryPoint}) did not compile: ${lines.join("; ") || (cause instanceof Error ? cause.message : String(cause))}`,
        "please report it with the name of the GPU",
        { cause },
      );
    }
  }
}
