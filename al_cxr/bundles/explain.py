"""Where a network looked: one map an image, by the method that suits the architecture.

Such maps show what a network used, not what a radiograph shows; they are no localisation of a finding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from al_cxr.core.errors import UserError
from al_cxr.models.backbone import Backbone
from al_cxr.models.crops import boxes, inverse, sampled
from al_cxr.models.rnn import RowLSTM
from al_cxr.models.vit import VisionTransformer
from al_cxr.sampling.stochastic import eval_mode


class NoMap(UserError):
    """There is no map for this architecture; the message says for which there is."""


def explanation_maps(model: nn.Module, images_BCHW: Tensor, target: int | Tensor) -> Tensor:
    """Maps (B, H, W) in 0..1, float32 on the CPU; each image's largest value is 1, or all are 0.

    `images_BCHW` are prepared as for the model, on its device; `target` is the class that is explained, one for all or
    int64 (B,), which only Grad-CAM depends on: attention is the same for every class. Zero is kept, so nearly even
    attention is nearly 1 everywhere. The network runs in eval mode and is as before afterwards. NoMap without one.
    """
    # Copied, because what inference mode made can have no gradient.
    images = images_BCHW.clone()
    if isinstance(model, RowLSTM):
        maps = row_attention(model, images)
    elif isinstance(model, VisionTransformer):
        maps = attention_rollout(model, images)
    else:
        maps = grad_cam(model, images, target)
    largest_B = maps.amax(dim=(1, 2), keepdim=True)
    return (maps / torch.where(largest_B > 0, largest_B, 1)).to("cpu", torch.float32)


def method(model: nn.Module) -> str:
    """What `explanation_maps` computes for this network, in words."""
    if isinstance(model, RowLSTM):
        return "attention over rows"
    return "attention rollout" if isinstance(model, VisionTransformer) else "Grad-CAM"


def row_attention(model: RowLSTM, images_BCHW: Tensor) -> Tensor:
    """The weight of each row, the same for all its pixels: (B, H, W), >= 0."""
    with eval_mode(model):
        weights_BH = model.attention(images_BCHW)
    return weights_BH[:, :, None].expand(-1, -1, images_BCHW.shape[3])


def attention_rollout(model: VisionTransformer, images_BCHW: Tensor) -> Tensor:
    """Attention of the class token to each pixel's patch through all layers: (B, H, W), >= 0.

    The product over layers of (mean over heads + identity) / 2 (Abnar and Zuidema 2020,
    https://arxiv.org/abs/2005.00928), its row of the class token, enlarged bilinearly.
    """
    with eval_mode(model):
        layers_BLNN = model.attention(images_BCHW).mean(dim=2)
    identity = torch.eye(layers_BLNN.shape[-1], device=layers_BLNN.device)
    rollout_BNN = identity.expand(len(images_BCHW), -1, -1)
    for attention_BNN in layers_BLNN.unbind(dim=1):
        rollout_BNN = (attention_BNN + identity) / 2 @ rollout_BNN
    patches_BP = rollout_BNN[:, 0, 1:]
    side = round(patches_BP.shape[1] ** 0.5)
    padded = images_BCHW.shape[2] + model.padding
    maps = _enlarged(patches_BP.reshape(-1, 1, side, side), (padded, padded))
    return maps[:, : images_BCHW.shape[2], : images_BCHW.shape[3]]


def grad_cam(model: nn.Module, images_BCHW: Tensor, target: int | Tensor) -> Tensor:
    """Grad-CAM of the last convolution's features: (B, H, W), >= 0, enlarged bilinearly.

    The sum of the feature maps, each weighted by the mean gradient of the class's logit with respect to it, negative
    values cut off (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391). The features are taken after all that
    follows the last convolution without changing their grid (normalisation, ReLU, residual sum), before pooling.
    A backbone that looks at the chest too gets the sum of both looks' maps, in the frame of the image; what its head
    takes from inner layers is in neither.
    """
    from captum.attr import LayerGradCam  # most of a second to import, which every command would wait for

    layer = _last_features(model, images_BCHW[:1])
    flags = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.inference_mode(False), torch.enable_grad():
            # The input needs the gradient, because the weights of a frozen backbone do not.
            maps = LayerGradCam(model, layer).attribute(
                images_BCHW.requires_grad_(), target=target, relu_attributions=True
            )
    finally:
        for module, training in flags:
            module.training = training
    enlarged = _enlarged(maps.detach(), (images_BCHW.shape[2], images_BCHW.shape[3]))
    if not (isinstance(model, Backbone) and model.chest):
        return enlarged
    whole_BHW, chest_BHW = enlarged.chunk(2)  # the backbone looks at the chests after the whole images
    return whole_BHW + sampled(chest_BHW[:, None], inverse(boxes(images_BCHW)))[:, 0]


def _last_features(model: nn.Module, image_1CHW: Tensor) -> nn.Module:
    """The module that Grad-CAM reads; NoMap for a network without a convolution whose grid reaches the head."""
    modules = list(model.modules())
    finished: list[tuple[nn.Module, torch.Size]] = []

    def note(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            finished.append((module, output.shape))

    hooks = [module.register_forward_hook(note) for module in modules]
    try:
        with eval_mode(model):
            model(image_1CHW)
    finally:
        for hook in hooks:
            hook.remove()
    # Convolutions on a 1 x 1 grid are the gates of squeeze-and-excitation, or a head.
    convolutions = [
        i for i, (module, shape) in enumerate(finished) if isinstance(module, nn.Conv2d) and _is_grid(shape)
    ]
    after = finished[convolutions[-1] :] if convolutions else []
    if not after or any(len(shape) == 3 for _, shape in after):
        raise NoMap(
            "there is no map to show: maps are of convolutional networks, the rnn and the vit, and this network is "
            "none of them (an mlp, for example); bundle a model of another architecture to see where it looks"
        )
    chosen, grid = after[0][0], after[0][1][2:]
    for module, shape in after:
        if _is_grid(shape):
            if shape[2:] != grid:
                break
            chosen = module
    return chosen


def _is_grid(shape: torch.Size) -> bool:
    return len(shape) == 4 and shape[2] * shape[3] > 1


def _enlarged(maps_B1hw: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps_B1hw, size, mode="bilinear", align_corners=False)[:, 0]
