"""The same layers as fewer and cheaper operations, for a traced network in eval mode."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval


class Halving(nn.MaxPool2d):
    """2 x 2 max-pooling without the indices that torch always computes on a CPU; the same values."""

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda or x.shape[-1] % 2 or x.shape[-2] % 2:
            return F.max_pool2d(x, 2, ceil_mode=self.ceil_mode)
        x = torch.maximum(x[..., ::2, :], x[..., 1::2, :])
        return torch.maximum(x[..., ::2], x[..., 1::2])


def fold_batch_norm(traced: fx.GraphModule) -> None:
    """Convolution or linear layer, then batch-norm, as one layer."""
    uses = [node.target for node in traced.graph.nodes if node.op == "call_module"]
    for node in list(traced.graph.nodes):
        before = _module_before(node)
        if before is None or uses.count(node.target) > 1 or uses.count(before.target) > 1:
            continue
        norm, layer = traced.get_submodule(str(node.target)), traced.get_submodule(str(before.target))
        if not isinstance(norm, nn.modules.batchnorm._BatchNorm) or norm.running_mean is None or norm.training:
            continue
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            fused: nn.Module = fuse_conv_bn_eval(layer, norm)
        elif isinstance(layer, nn.Linear):
            fused = fuse_linear_bn_eval(layer, norm)
        else:
            continue
        traced.set_submodule(str(before.target), fused)
        node.replace_all_uses_with(before)
        traced.graph.erase_node(node)


def pool_first(traced: fx.GraphModule) -> None:
    """ReLU after max-pooling instead of before it: the same values from fewer numbers."""
    for node in list(traced.graph.nodes):
        if node.op != "call_module":
            continue
        pool = traced.get_submodule(str(node.target))
        if type(pool) is nn.MaxPool2d and _halves(pool):
            pool = Halving(2, 2, ceil_mode=pool.ceil_mode)
            traced.set_submodule(str(node.target), pool)
        before = _module_before(node)
        if not isinstance(pool, nn.MaxPool2d) or pool.return_indices or before is None:
            continue
        if isinstance(traced.get_submodule(str(before.target)), nn.ReLU):
            relu, source = str(before.target), before.args[0]
            node.args = (source,)
            with traced.graph.inserting_after(node):
                after = traced.graph.call_module(relu, (node,))
            after.meta.update(before.meta)
            node.replace_all_uses_with(after, delete_user_cb=lambda user, after=after: user is not after)
            traced.graph.erase_node(before)


def _halves(pool: nn.MaxPool2d) -> bool:
    both = {(v, v) if isinstance(v, int) else tuple(v) for v in (pool.kernel_size, pool.stride)}
    return both == {(2, 2)} and pool.padding in (0, (0, 0)) and pool.dilation in (1, (1, 1)) and not pool.return_indices


def _module_before(node: fx.Node) -> fx.Node | None:
    """The module call whose result a module call reads, if nothing else reads it."""
    before = node.args[0] if node.op == "call_module" and node.args else None
    if isinstance(before, fx.Node) and before.op == "call_module" and len(before.users) == 1:
        return before
    return None
