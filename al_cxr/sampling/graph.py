"""A network cut in two: what is the same in every Monte-Carlo pass, and what is sampled.

The network is traced into a graph of operations (torch.fx). Everything that no random site feeds into is the
deterministic part and has to run once an image; the rest runs once a pass, with each random site written out as a
multiplication by a mask. Convolutions and linear layers take up the batch-norm that follows them.

A network that cannot be traced, or that is random in a way that is no multiplication by a mask, is none for this
module: `Uncuttable` says why, and it is sampled by the plain loop of `al_cxr.sampling.stochastic` instead.
"""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torchvision.ops import stochastic_depth

from al_cxr.sampling.fusing import fold_batch_norm, pool_first
from al_cxr.sampling.masks import Site
from al_cxr.sampling.recurrent import unstacked

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
FUNCTIONS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, stochastic_depth)
"""Those that multiply by a mask and divide by the probability of a one."""
MIXING = (nn.modules.conv._ConvNd, nn.RNNBase, nn.MultiheadAttention)
MIXING_CALLS = (torch.matmul, operator.matmul, torch.bmm, torch.einsum, F.scaled_dot_product_attention)


IN_PLACE: dict[Any, Any] = {
    operator.iadd: operator.add, operator.isub: operator.sub, operator.imul: operator.mul,
    operator.itruediv: operator.truediv, F.relu_: F.relu, torch.relu_: torch.relu,
}  # fmt: skip


class Uncuttable(Exception):
    """Why a network has no fast path; not an error."""


@dataclass(frozen=True)
class Cut:
    """Both parts in eval mode, float32, on the device of the network."""

    fixed: fx.GraphModule
    """images (B, ...) -> tuple of the tensors that the sampled part starts from, images on axis 0."""
    sampled: fx.GraphModule
    """Those tensors -> the network's output. The mask of a site is its buffer `mask_name(site)`."""
    sites: tuple[Site, ...]
    """Those that are sampled: all, or those of the head."""
    operations: tuple[int, int]
    """How many operations the deterministic and the sampled part have."""


def mask_name(site: Site) -> str:
    return f"mask_{site.position}"


def cut(model: nn.Module, sites: Sequence[Site], *, head: bool = False) -> Cut:
    """Cut a copy of a network at its random sites (of `sites.find_sites`).

    With `head` only the sites after the last operation that mixes positions of an image (convolution, recurrence,
    attention) are sampled; the other sites are off. Raises Uncuttable.
    """
    for site in sites:
        if site.keep is None or (site.batch_dim is not None and site.shape[site.batch_dim] != 1):
            raise Uncuttable(f"{site} is no mask that all images could share as it is")
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    for site in sites:
        copied.get_submodule(site.module).training = True
    unstacked(copied)
    for module in copied.modules():
        if hasattr(module, "inplace"):
            setattr(module, "inplace", False)  # noqa: B010 - not every module has it
    traced = _traced(copied)
    _out_of_place(traced)
    fold_batch_norm(traced)
    pool_first(traced)
    found = _random_nodes(traced)
    if len(found) != len(sites):
        raise Uncuttable(f"{len(sites)} random sites, of which the traced graph shows {len(found)}")
    for node, site in zip(found, sites, strict=True):
        if not _belongs(node, site):
            raise Uncuttable(f"{site} is not where the traced graph is random ({node.name})")
    chosen = {node: site for node, site in zip(found, sites, strict=True) if not head or _is_head(traced, node)}
    if not chosen:
        raise Uncuttable("no random site lies after the last convolution, recurrence or attention")
    for node, site in zip(found, sites, strict=True):
        if node in chosen:
            _multiply(traced, node, site)
        else:
            node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
            traced.graph.erase_node(node)
    traced.graph.eliminate_dead_code()
    fixed, sampled, operations = _parted(traced)
    return Cut(fixed, sampled, tuple(chosen.values()), operations)


class _Tracer(fx.Tracer):
    """Keeps of every operation in whose forward it stands."""

    def create_node(self, kind: str, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(kind, *args, **kwargs)
        node.meta["within"] = list(self.module_stack)
        return node


def _traced(copied: nn.Module) -> fx.GraphModule:
    tracer = _Tracer()
    try:
        graph = tracer.trace(copied)
    except Exception as error:  # a forward can fail on a symbolic tensor in any way
        raise Uncuttable(f"its forward cannot be traced ({type(error).__name__}: {str(error)[:120]})") from error
    return fx.GraphModule(tracer.root, graph)


def _out_of_place(traced: fx.GraphModule) -> None:
    """What is computed once must survive a pass: `x += y` becomes `x = x + y`, `x.relu_()` becomes `x.relu()`."""
    for node in traced.graph.nodes:
        if node.op == "call_function" and node.target in IN_PLACE:
            node.target = IN_PLACE[node.target]
        elif node.op == "call_method":
            name = str(node.target).removesuffix("_")
            if name != node.target and not name.endswith("_") and hasattr(Tensor, name):
                node.target = name
        if node.kwargs.get("inplace"):
            node.kwargs = node.kwargs | {"inplace": False}
        elif node.op == "call_function" and node.target is F.relu:
            node.args = node.args[:1]


def _random_nodes(traced: fx.GraphModule) -> list[fx.Node]:
    """Multiplications by a random mask, in the order of execution."""
    found = []
    for node in traced.graph.nodes:
        if node.op == "call_module":
            module = traced.get_submodule(str(node.target))
            if isinstance(module, DROPOUTS) and module.training and 0 < module.p < 1:
                found.append(node)
        elif node.op == "call_function" and node.target in FUNCTIONS:
            given = dict(zip(("input", "p"), node.args, strict=False)) | node.kwargs
            at = 3 if node.target is stochastic_depth else 2  # where `training` stands among the arguments
            training = node.args[at] if len(node.args) > at else given.get("training", True)
            if training is True and 0 < given.get("p", 0.5) < 1:
                found.append(node)
    return found


def _belongs(node: fx.Node, site: Site) -> bool:
    within = set(node.meta.get("within", ()))
    if node.op == "call_module":
        within.add(str(node.target))
    return site.module == "" or site.module in within


def _multiply(traced: fx.GraphModule, node: fx.Node, site: Site) -> None:
    traced.register_buffer(mask_name(site), torch.ones(site.shape), persistent=False)
    with traced.graph.inserting_before(node):
        mask = traced.graph.get_attr(mask_name(site))
        product = traced.graph.call_function(operator.mul, (node.args[0], mask))
    node.replace_all_uses_with(product)
    traced.graph.erase_node(node)


def _is_head(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether nothing after a node mixes positions of an image."""
    return not any(_mixes(traced, after) for after in _downstream([node]))


def _mixes(traced: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(traced.get_submodule(str(node.target)), MIXING)
    return node.target in MIXING_CALLS or (node.op == "call_method" and node.target in ("matmul", "bmm", "__matmul__"))


def _downstream(roots: Sequence[fx.Node]) -> dict[fx.Node, None]:
    """The nodes and all that their values reach."""
    reached: dict[fx.Node, None] = {}
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached[node] = None
            waiting += list(node.users)
    return reached


def _parted(traced: fx.GraphModule) -> tuple[fx.GraphModule, fx.GraphModule, tuple[int, int]]:
    """The two parts as modules of their own, and their numbers of operations."""
    nodes = list(traced.graph.nodes)
    masks = [n for n in nodes if n.op == "get_attr" and str(n.target).startswith("mask_")]
    sampled = _downstream(masks)
    output = nodes[-1]
    if output not in sampled:
        raise Uncuttable("no random site reaches the output")
    # Parameters that a forward reads by itself belong to whichever part uses them.
    crossing = [
        n for n in nodes if n not in sampled and n.op != "get_attr" and any(user in sampled for user in n.users)
    ]
    first, second = fx.Graph(), fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        if node not in sampled:
            copied[node] = first.node_copy(node, copied.__getitem__)
    first.output(tuple(copied[n] for n in crossing))
    again: dict[fx.Node, fx.Node] = {node: second.placeholder(f"start_{i}") for i, node in enumerate(crossing)}
    for node in nodes:
        if node in sampled or (node.op == "get_attr" and node not in again):
            again[node] = second.node_copy(node, again.__getitem__)
    parts = fx.GraphModule(traced, first), fx.GraphModule(traced, second)
    for part in parts:
        part.graph.eliminate_dead_code()
        part.delete_all_unused_submodules()
        part.recompile()
    fixed, varied = (sum(n.op.startswith("call") for n in part.graph.nodes) for part in parts)
    return *parts, (fixed, varied)


def bytes_of(tensors: Sequence[Tensor]) -> int:
    """Memory of some tensors."""
    return sum(math.prod(t.shape) * t.element_size() for t in tensors)
