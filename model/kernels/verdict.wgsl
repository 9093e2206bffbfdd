// Whether a step's gradients are finite, and what follows for the loss scale. verdict [8] = take (1: the step is
// taken, 0: everything stays), 1 / scale of the gradients at hand, scale of the next step, good steps since the scale
// last changed, steps skipped so far, largest scale, 0, 0.
//   findFaults   grad [size] of vec4u, bits of f32: arithmetic may assume that there are no infinities, bits cannot.
//                One workgroup per chunk; faults [parts] = 1 where the chunk holds an exponent of all ones.
//   judge        one workgroup over faults; the scale halves on a fault and doubles after `patience` good steps.
//   scaleWeight  scaled[0] = weight[0] · scale of the next step. One thread.
// Workgroup memory 4 bytes; barriers in uniform control flow.
override size: u32 = 1u;
override chunk: u32 = 1u;
override parts: u32 = 1u;
override patience: f32 = 1.0;

var<workgroup> found: atomic<u32>;

const exponent = vec4u(0x7f800000u);

@group(0) @binding(0) var<storage, read> grad: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> faults: array<f32>;

@compute @workgroup_size(256)
fn findFaults(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let end = min(size, (group.x + 1u) * chunk);
  var fault = false;
  for (var i = group.x * chunk + lane; i < end; i += 256u) {
    fault = fault || any((grad[i] & exponent) == exponent);
  }
  if (fault) { atomicStore(&found, 1u); }
  workgroupBarrier();
  if (lane == 0u) { faults[group.x] = f32(atomicLoad(&found)); }
}

@group(0) @binding(0) var<storage, read> chunkFaults: array<f32>;
@group(0) @binding(1) var<storage, read_write> verdict: array<f32>;

@compute @workgroup_size(256)
fn judge(@builtin(local_invocation_index) lane: u32) {
  for (var part = lane; part < parts; part += 256u) {
    if (chunkFaults[part] != 0.0) { atomicStore(&found, 1u); }
  }
  workgroupBarrier();
  if (lane != 0u) { return; }
  let fault = atomicLoad(&found) != 0u;
  let scale = verdict[2];
  let good = verdict[3] + 1.0;
  verdict[0] = select(1.0, 0.0, fault);
  verdict[1] = 1.0 / scale;
  if (fault) {
    verdict[2] = max(1.0, scale / 2.0);
    verdict[3] = 0.0;
    verdict[4] += 1.0;
  } else if (good >= patience) {
    verdict[2] = min(verdict[5], scale * 2.0);
    verdict[3] = 0.0;
  } else {
    verdict[3] = good;
  }
}

@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read> lastVerdict: array<f32>;
@group(0) @binding(2) var<storage, read_write> scaled: array<f32>;

@compute @workgroup_size(1)
fn scaleWeight() {
  scaled[0] = weight[0] * lastVerdict[2];
}
