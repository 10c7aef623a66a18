"""Make the derived-* samples: `python derive.py [FOLDER]`. They were NOT recorded on a GPU.

derived-torch-*: the recorded traces of the CPU, with tensors moved to cuda:0, cuDNN's names, and kernels beside them.
derived-jax-*: HLO as XLA prints it for a GPU. derived-gpu.xplane.pb.gz: a profile in the form that CUPTI's collector
writes, by TensorFlow's own xplane_pb2 (this one needs an interpreter with TensorFlow; without one it is left out).
The forms are of openxla/xla (cupti_collector.cc, cublas_cudnn.cc), pytorch/kineto (output_json.cpp, CuptiActivity.cpp).
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TRACE, KINETO = "torch2.13.0.trace.json.gz", "torch2.13.0.kineto.json.gz"
# On a GPU too: the seeds, and the loss that is read as a number.
KERNELS = (
    "void cudnn::ops::nchwToNhwcKernel<float, float, float, false, true, (cudnnKernelDataType_t)2>",
    "sm80_xmma_fprop_implicit_gemm_tf32f32_tf32f32_f32_nhwckrsc_nchw_tilesize128x64x16_stage4_warpsize2x2x1",
    "void at::native::vectorized_elementwise_kernel<4, at::native::launch_clamp_scalar>",
    "ampere_sgemm_32x32_sliced1x4_tn",
)
HLO = """HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[32,32,32,3]{3,2,1,0})->f32[32,10]{1,0}}

%fused_computation (param_0: f32[32,30,30,32], param_1: f32[32]) -> f32[32,30,30,32] {
  %param_0 = f32[32,30,30,32]{3,2,1,0} parameter(0)
  %param_1 = f32[32]{0} parameter(1)
  %broadcast.1 = f32[32,30,30,32]{3,2,1,0} broadcast(%param_1), dimensions={3}
  ROOT %add.1 = f32[32,30,30,32]{3,2,1,0} add(%param_0, %broadcast.1), metadata={op_name="jit(step)/add"}
}

%gemm_fusion_dot.5_computation (parameter_0: f32[32,64], parameter_1: f32[64,10]) -> f32[32,10] {
  %parameter_0 = f32[32,64]{1,0} parameter(0)
  %parameter_1 = f32[64,10]{1,0} parameter(1)
  ROOT %dot.9 = f32[32,10]{1,0} dot(%parameter_0, %parameter_1), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

ENTRY %main.1 (Arg_0.1: f32[32,32,32,3], Arg_1.2: f32[3,3,3,32]) -> f32[32,10] {
  %Arg_0.1 = f32[32,32,32,3]{3,2,1,0} parameter(0), metadata={op_name="x"}
  %Arg_1.2 = f32[3,3,3,32]{3,2,1,0} parameter(1)
  %cudnn-conv.1 = (f32[32,30,30,32]{3,2,1,0}, /*index=1*/u8[1024]{0}) custom-call(%Arg_0.1, %Arg_1.2), window={size=3x3}, dim_labels=b01f_01io->b01f, custom_call_target="__cudnn$convForward", backend_config={"cudnn_conv_backend_config":{"activation_mode":"kNone"}}
  %cudnn-conv-bias-activation.2 = (f32[32,30,30,32]{3,2,1,0}, u8[0]{0}) custom-call(%Arg_0.1, %Arg_1.2), window={size=3x3}, dim_labels=b01f_01io->b01f, custom_call_target="__cudnn$convBiasActivationForward"
  %cudnn-conv-bw-filter.3 = (f32[3,3,3,32]{3,2,1,0}, u8[0]{0}) custom-call(%Arg_0.1, %Arg_1.2), window={size=3x3}, dim_labels=f01b_i01o->01bf, custom_call_target="__cudnn$convBackwardFilter"
  %reorder.4 = f32[3,3,3,32]{3,2,1,0} custom-call(%Arg_1.2), custom_call_target="__cudnn$convReorderFilter"
  %cublas-gemm.5 = (f32[1024,64]{1,0}, s8[4194304]{0}) custom-call(%Arg_0.1, %Arg_1.2), custom_call_target="__cublas$gemm", backend_config={"gemm_backend_config":{"alpha_real":1}}
  %cublas-lt-matmul.6 = (f32[32,64]{1,0}, s8[0]{0}) custom-call(%Arg_0.1, %Arg_1.2), custom_call_target="__cublas$lt$matmul"
  %triangular-solve.7 = (f32[4,4]{0,1}, s8[0]{0}) custom-call(%Arg_0.1), custom_call_target="__cublas$triangularSolve"
  %loop_add_fusion = f32[32,30,30,32]{3,2,1,0} fusion(%cudnn-conv.1, %Arg_1.2), kind=kLoop, calls=%fused_computation
  ROOT %gemm_fusion_dot.5 = f32[32,10]{1,0} fusion(%cublas-lt-matmul.6, %Arg_1.2), kind=kCustom, calls=%gemm_fusion_dot.5_computation, backend_config={"fusion_backend_config":{"kind":"__triton_gemm"}}
}
"""  # noqa: E501


def packed(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


def torch_trace() -> bytes:
    text = gzip.decompress((HERE / TRACE).read_bytes()).decode()
    document = json.loads(text)
    feed = next(node for node in document["nodes"] if node["name"] == "aten::copy_")
    for node in document["nodes"]:
        node["name"] = node["name"].replace("aten::mkldnn_convolution", "aten::cudnn_convolution")
        for side in ("inputs", "outputs"):
            moved = re.sub(r'"cpu"(?=\])', '"cuda:0"', json.dumps(node[side]["values"]))
            node[side]["values"] = json.loads(moved)
    feed["inputs"]["values"][1][5] = "cpu"  # the batch comes from host memory
    return packed(json.dumps(document, indent=1))


def torch_kineto() -> bytes:
    document = json.loads(gzip.decompress((HERE / KINETO).read_bytes()))
    events: list[dict[str, Any]] = document["traceEvents"]
    began = next(event["ts"] for event in events if event.get("cat") == "cpu_op")
    for number in range(40):
        device, at = number % 2, began + 20 * number
        args = {
            "External id": number + 2, "queued": 0, "device": device, "context": 1, "stream": 7,
            "correlation": 1000 + number, "registers per thread": 32, "shared memory": 0, "blocks per SM": 1.0,
            "warps per SM": 4.0, "grid": [113, 1, 1], "block": [128, 1, 1], "est. achieved occupancy %": 9,
        }  # fmt: skip
        launch = {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": 1, "ts": at, "dur": 4}
        kernel = {
            "ph": "X", "cat": "kernel", "name": KERNELS[number % len(KERNELS)], "pid": device, "tid": 7,
            "ts": at + 6, "dur": 10.5, "args": args,
        }  # fmt: skip
        events[-2:-2] = [launch, kernel]
    for name, cat in (("Memcpy HtoD (Pageable -> Device)", "gpu_memcpy"), ("Memset (Device)", "gpu_memset")):
        args = {"device": 0, "context": 1, "stream": 7, "correlation": 7, "bytes": 393216}
        copy = {"ph": "X", "cat": cat, "name": name, "pid": 0, "tid": 7, "ts": began, "dur": 31.0, "args": args}
        events[-2:-2] = [copy]
    document["deviceProperties"] = [{"id": number, "name": "derived, no real GPU"} for number in range(2)]
    return packed(json.dumps(document, indent=1))


def jax_executables() -> bytes:
    rows = [
        {"name": "jit_step", "platform": "gpu", "devices": ["GPU:0", "GPU:1"], "hlo": HLO, "cut": False},
        {"name": "jit_cut", "platform": "gpu", "devices": ["GPU:0"], "hlo": HLO[:1400], "cut": True},
    ]
    return packed(json.dumps({"executables": rows, "arrays": [{"device": "GPU:0", "arrays": 9, "bytes": 490_280}]}))


class Plane:
    """A plane of a profile, with its two tables of names."""

    def __init__(self, plane: Any) -> None:
        self.plane, self.names, self.stats = plane, dict[str, int](), dict[str, int]()

    def line(self, number: int, name: str) -> Any:
        return self.plane.lines.add(id=number, name=name, timestamp_ns=10**18)

    def event(self, line: Any, name: str, at: int, lasts: int, stat: str) -> None:
        number = self._known(self.plane.event_metadata, self.names, name)
        event = line.events.add(metadata_id=number, offset_ps=at, duration_ps=lasts)
        event.stats.add(metadata_id=self._stat("correlation_id"), uint64_value=at)
        event.stats.add(metadata_id=self._stat(stat), ref_value=self._stat(f"{stat} of {name}"[:60]))

    def _stat(self, name: str) -> int:
        return self._known(self.plane.stat_metadata, self.stats, name)

    def _known(self, table: Any, index: dict[str, int], name: str) -> int:
        if name not in index:
            index[name] = len(index) + 1
            table[index[name]].id, table[index[name]].name = index[name], name
        return index[name]


def xplane() -> bytes:
    """Two GPUs: the first ran kernels on a stream and a traced CUDA graph; the second only copied."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2  # type: ignore[import-untyped]

    space = xplane_pb2.XSpace(hostnames=["derived"], warnings=["Detected GPU events dropped on derived: 3 events"])
    gpus = [Plane(space.planes.add(id=number, name=f"/device:GPU:{number}")) for number in (0, 1)]
    for gpu in gpus:
        copies = gpu.line(14, "Stream #14(MemcpyH2D,MemcpyD2H)")
        gpu.event(copies, "MemcpyH2D", 0, 5_000_000, "memcpy_details")
        gpu.event(copies, "MemcpyD2H", 90_000_000, 2_000_000, "memcpy_details")
    gpu = gpus[0]
    compute = gpu.line(13, "Stream #13(Compute,Memset,CudaGraph)")
    for index in range(12):
        gpu.event(compute, KERNELS[index % len(KERNELS)], index * 6_000_000, 4_000_000, "kernel_details")
    gpu.event(compute, "Memset", 80_000_000, 1_000_000, "Memset_details")
    gpu.event(compute, "CudaGraphExec:7", 82_000_000, 6_000_000, "cuda_graph_exec_id")
    grouped = {"XLA Ops": "cudnn-conv.1", "XLA Modules": "jit_step(7)", "Steps": "1", "Framework Ops": "Conv2D"}
    for number, (name, event) in enumerate(grouped.items()):
        gpu.event(gpu.line(10**7 + number, name), event, 0, 72_000_000, "kernel_details")
    host = space.planes.add(id=2, name="/host:CPU")
    host.event_metadata[1].id, host.event_metadata[1].name = 1, "sequential/conv2d/Conv2D:Conv2D"
    host.lines.add(id=1, name="tf_Compute/1").events.add(metadata_id=1, offset_ps=0, duration_ps=3_000_000)
    return gzip.compress(space.SerializeToString(deterministic=True), mtime=0)


def main(folder: Path) -> None:
    (folder / "derived-torch-gpu.trace.json.gz").write_bytes(torch_trace())
    (folder / "derived-torch-gpu.kineto.json.gz").write_bytes(torch_kineto())
    (folder / "derived-jax-gpu.executables.json.gz").write_bytes(jax_executables())
    try:
        (folder / "derived-gpu.xplane.pb.gz").write_bytes(xplane())
    except ImportError:
        print("no TensorFlow here: derived-gpu.xplane.pb.gz is left out", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
