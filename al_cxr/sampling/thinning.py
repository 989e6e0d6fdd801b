"""Sampled networks that are really smaller: what a pass drops is not computed.

Where a mask drops whole channels of a convolution or whole units of a linear layer, a pass is a network of fewer
channels: the layer before makes only those that are kept, and the layer after reads only those. The mask's scale goes
into the weights of the layer after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from al_cxr.sampling.graph import Cut, mask_name
from al_cxr.sampling.masks import Site

POINTWISE = (nn.ReLU, nn.LeakyReLU, nn.Identity, F.relu, torch.relu)
HOMOGENEOUS = (
    *POINTWISE, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d, F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d,
)  # fmt: skip
"""Keep channels apart and let a factor >= 0 through, which after a mask they must."""
CHANNELWISE = (*HOMOGENEOUS, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.ELU, F.gelu, F.silu, torch.tanh, torch.sigmoid)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Thin:
    """One site whose dropped channels are left out."""

    site: Site
    before: str | None
    """Layer that makes the channels; None where they come from outside the sampled part and are picked."""
    after: str
    """Layer that reads them."""
    columns: int
    """Inputs of that layer a channel has: 1, or the positions of a map that was flattened."""


@dataclass(frozen=True)
class ThinningPlan:
    thin: tuple[Thin, ...] = ()
    masked: tuple[Site, ...] = ()
    """Sites whose mask is multiplied."""


def thin(cut: Cut) -> ThinningPlan:
    """Find the sites that can be thinned and rewrite the sampled part of a cut for them, in place."""
    graph, sampled = cut.sampled.graph, cut.sampled
    uses = [str(n.target) for n in graph.nodes if n.op == "call_module"]
    thins, masked = [], []
    for site in cut.sites:
        node = next(n for n in graph.nodes if n.op == "get_attr" and n.target == mask_name(site))
        (product,) = node.users
        found = _neighbours(sampled, product, site, uses) if len(product.args) == 2 else None
        if found is None:
            masked.append(site)
            continue
        thins.append(found)
        source = product.args[0]
        if found.before is None:
            with graph.inserting_before(product):
                picked = graph.call_function(_pick, (source, node))
            product.replace_all_uses_with(picked)
        else:
            product.replace_all_uses_with(source)
        graph.erase_node(product)
    graph.eliminate_dead_code()
    sampled.recompile()
    return ThinningPlan(tuple(thins), tuple(masked))


def tensors_of_pass(
    sampled: nn.Module, plan: ThinningPlan, masks: Mapping[Site, Tensor], device: torch.device
) -> dict[str, Tensor]:
    """Parameters and buffers that differ in a pass: masks, picked channels, and the weights of thinned layers.

    `masks` are bool, of a site's shape, on the CPU: what is kept is counted there, so that a GPU is never waited for.
    For `torch.func.functional_call`.
    """
    weights: dict[str, Tensor] = dict(sampled.named_parameters())
    like = next(iter(weights.values()), None)
    changed: dict[str, Tensor] = {}
    for site in plan.masked:
        assert site.keep is not None
        mask = masks[site].to(device, non_blocking=True)
        changed[mask_name(site)] = mask.to(mask.dtype if like is None else like.dtype) / site.keep
    kept = {t: masks[t.site].flatten().nonzero().flatten() for t in plan.thin}
    # A layer of no channels cannot be run: where all are dropped, one stays and is weighted with 0.
    emptied = {t for t in plan.thin if len(kept[t]) == 0}
    kept |= {t: torch.zeros(1, dtype=torch.int64) for t in emptied}
    kept = {t: index.to(device, non_blocking=True) for t, index in kept.items()}
    rows = {t.before: kept[t] for t in plan.thin if t.before}
    columns = {t.after: t for t in plan.thin}
    for name in dict.fromkeys([*rows, *columns]):
        weight, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
        if name in rows:
            weight = weight.index_select(0, rows[name])
            bias = bias.index_select(0, rows[name]) if bias is not None else None
        if name in columns:
            t = columns[name]
            assert t.site.keep is not None
            apart = weight.reshape(len(weight), -1, t.columns) if t.columns > 1 else weight
            weight = apart.index_select(1, kept[t]) * (0 if t in emptied else 1 / t.site.keep)
            weight = weight.flatten(1, 2) if t.columns > 1 else weight
        if weight.ndim == 4:
            weight = weight.contiguous(memory_format=torch.channels_last)
        changed[f"{name}.weight"] = weight
        if bias is not None:
            changed[f"{name}.bias"] = bias
    for t in plan.thin:
        if t.before is None:
            changed[mask_name(t.site)] = kept[t]
    return changed


def _pick(x: Tensor, channels: Tensor) -> Tensor:
    """Some channels (axis 1) of maps or features, in the layout that convolutions want."""
    return x.movedim(1, -1).index_select(-1, channels).movedim(-1, 1)


def _neighbours(sampled: fx.GraphModule, product: fx.Node, site: Site, uses: list[str]) -> Thin | None:
    """The layers before and after a mask on whole channels; None where there is none after, or not only one."""
    channels = site.shape[1] if len(site.shape) > 1 else 0
    if channels < 2 or any(n != 1 for d, n in enumerate(site.shape) if d != 1):
        return None
    after, flattened = _layer_after(sampled, product)
    if after is None or uses.count(str(after.target)) > 1:
        return None
    layer, linear = sampled.get_submodule(str(after.target)), len(site.shape) == 2
    inputs = _weight(layer).shape[1]
    # A linear layer reads channels where they are the last axis: on (B, K), or after flattening.
    if isinstance(layer, nn.Linear) != (flattened or linear) or inputs % channels:
        return None
    if not flattened and inputs != channels:
        return None
    source = product.args[0]
    assert isinstance(source, fx.Node)
    before = _layer_before(sampled, source)
    if before is not None and uses.count(str(before.target)) > 1:
        before = None
    if before is not None:
        maker = sampled.get_submodule(str(before.target))
        if len(_weight(maker)) != channels or isinstance(maker, nn.Linear) != linear:
            return None
    return Thin(site, str(before.target) if before else None, str(after.target), inputs // channels)


def _layer_after(sampled: fx.GraphModule, node: fx.Node) -> tuple[fx.Node | None, bool]:
    """The one layer that reads a value after channelwise operations, and whether maps are flattened on the way."""
    flattened = False
    while len(node.users) == 1:
        node = next(iter(node.users))
        if _is_layer(sampled, node):
            return node, flattened
        if _flattens(sampled, node):
            flattened = True
        elif not _keeps_channels_apart(sampled, node, POINTWISE if flattened else HOMOGENEOUS):
            break
    return None, flattened


def _layer_before(sampled: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The layer that a value comes from through channelwise operations, all read by nothing else."""
    while len(node.users) == 1:
        if _is_layer(sampled, node):
            return node
        if not _keeps_channels_apart(sampled, node, CHANNELWISE) or not isinstance(node.args[0], fx.Node):
            break
        node = node.args[0]
    return None


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer.weight, Tensor)
    return layer.weight


def _is_layer(sampled: fx.GraphModule, node: fx.Node) -> bool:
    if node.op != "call_module":
        return False
    module = sampled.get_submodule(str(node.target))
    if isinstance(module, CONVOLUTIONS):
        return module.groups == 1 and module.padding_mode == "zeros"
    return isinstance(module, nn.Linear)


def _keeps_channels_apart(sampled: fx.GraphModule, node: fx.Node, kinds: tuple[Any, ...]) -> bool:
    if node.op == "call_module":
        return isinstance(sampled.get_submodule(str(node.target)), tuple(k for k in kinds if isinstance(k, type)))
    return node.op == "call_function" and node.target in kinds


def _flattens(sampled: fx.GraphModule, node: fx.Node) -> bool:
    """(B, C, ...) -> (B, C * positions)."""
    if node.op == "call_module":
        module = sampled.get_submodule(str(node.target))
        return isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1)
    if node.target is torch.flatten or (node.op == "call_method" and node.target == "flatten"):
        return node.args[1:] == (1,) and not node.kwargs
    return False
