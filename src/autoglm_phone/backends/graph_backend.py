"""PyTorch's operators plus what a decode pass needs to be captured in a CUDA graph: paged attention by tables and
lengths (`paged_decode`), and on a GPU a few fused kernels (`fused_kernels`) in place of many small ones.

Everything else, prefill included, is `torch_backend`, which it is tested against.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from autoglm_phone.backends.base import AttentionPlan, AttentionShape
from autoglm_phone.backends.paged_decode import PagedPlan, has_triton, paged_attention
from autoglm_phone.backends.quantized import Handle, Stacked, Weight
from autoglm_phone.backends.torch_backend import KVPages, Linear, Norm, TorchBackend


class GraphBackend(TorchBackend):
    """See the module's docstring; takes the arguments of TorchBackend."""

    name = "torch-graphs"

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.fuses = self.device.type == "cuda" and has_triton()

    def pack_linear(self, weight: Weight | Stacked, bias: Tensor | None, into: Any = None) -> Linear | Handle:
        """On a GPU the weight stays [out, in] in memory (and looks like [in, out]): cuBLAS reads that faster for few
        rows, as each output is a sum along a row."""
        if self.device.type != "cuda" or not isinstance(weight, Tensor):
            return super().pack_linear(weight, bias)
        return Linear(self._place(weight).contiguous().t(), None if bias is None else self._place(bias))

    def attention(
        self, pages: KVPages, layer: int, qkv: Tensor, slots: Tensor, plan: AttentionPlan, shape: AttentionShape
    ) -> Tensor:
        if not isinstance(plan, PagedPlan):
            return super().attention(pages, layer, qkv, slots, plan, shape)
        store = pages.pages[layer]
        store.view(-1, store.shape[-1]).index_copy_(0, slots, qkv[:, shape.q_width :])
        q = qkv[:, : shape.q_width].unflatten(-1, (shape.heads, shape.head_dim))
        return paged_attention(q, store, plan.tables, plan.lengths, shape.kv_heads, plan.window, plan.sinks)

    def norm(self, x: Tensor, weight: Norm) -> Tensor:
        if not self.fuses or weight.weight is None:
            return super().norm(x, weight)
        from autoglm_phone.backends.fused_kernels import rms_norm

        return rms_norm(x, weight.weight, self.eps)

    def add_norm(self, x: Tensor, y: Tensor, weight: Norm) -> Tensor:
        if not self.fuses or weight.weight is None:
            return super().add_norm(x, y, weight)
        from autoglm_phone.backends.fused_kernels import rms_norm

        return rms_norm(y, weight.weight, self.eps, x)

    def apply_rotary(self, qkv: Tensor, rotary: Tensor | tuple[Tensor, Tensor], shape: AttentionShape) -> Tensor:
        if not self.fuses or isinstance(rotary, Tensor):
            return super().apply_rotary(qkv, rotary, shape)
        from autoglm_phone.backends.fused_kernels import rotate

        cos, sin = rotary
        return rotate(qkv, cos.contiguous(), sin.contiguous(), shape.heads + shape.kv_heads, shape.head_dim)

    def swiglu(self, gate_up: Tensor) -> Tensor:
        if not self.fuses:
            return super().swiglu(gate_up)
        from autoglm_phone.backends.fused_kernels import swiglu

        return swiglu(gate_up)
