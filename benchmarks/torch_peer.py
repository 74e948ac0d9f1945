"""The network of `stn_jax.models` once more, in torch, and one step of its training.

It covers what configs/derm.py asks for: an affine map from the dense head, no anti-aliasing, no
batch normalisation. Layers have the names that Flax gives ours, so that weights are carried over by
name. What torch's users do for speed is done: the fused Adam, autocast to bfloat16, either layout
of memory, and torch.compile over the network and its loss. Used by benchmarks/step.py and
benchmarks/gpu.py; needs torch.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stn_jax.config import Config, ModelConfig, natural_view_shrink
from stn_jax.models.transformer import PIXEL_SCALE

Layout = Literal["contiguous", "channels_last"]
Precision = Literal["float32", "tf32", "bfloat16"]

MEAN_COLOR = 127.5
"""Mean of the photos' pixel values, the same in every channel."""
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


class DenseOfMaps(nn.Linear):
    """A dense layer over whole feature maps, [batch, channel, height, width]."""

    def __init__(self, maps: tuple[int, int, int], units: int):
        super().__init__(maps[0] * maps[1] * maps[2], units)
        self.maps = maps

    def forward(self, features: Tensor) -> Tensor:
        """Flattens and multiplies."""
        return super().forward(features.flatten(1))


class LocalizationNet(nn.Module):
    """Predicts an affine theta."""

    def __init__(self, config: ModelConfig, view_size: tuple[int, int]):
        super().__init__()
        channels = (3, *config.localization_channels)
        self.depth = len(config.localization_channels)
        for i in range(self.depth):
            layer = nn.Conv2d(channels[i], channels[i + 1], 3 if i else 5, padding="same")
            self.add_module(f"Conv_{i}", layer)
        height, width = (side >> (self.depth - 1) for side in view_size)
        self.Dense_0 = DenseOfMaps((channels[-1], height, width), config.localization_units)
        self.Dense_1 = nn.Linear(config.localization_units, len(_IDENTITY))

    def forward(self, view: Tensor) -> Tensor:
        """Maps [batch, 3, height, width] to theta, [batch, 2, 3] float32."""
        x = view
        for i in range(self.depth):
            x = functional.max_pool2d(x, 2) if i else x
            x = functional.relu(self.get_submodule(f"Conv_{i}")(x))
        x = functional.relu(self.Dense_0(x))
        with torch.autocast(x.device.type, enabled=False):
            return self.Dense_1(x.float()).view(-1, 2, 3)


class SpatialTransformer(nn.Module):
    """Samples one crop a photo."""

    def __init__(self, config: Config):
        super().__init__()
        self.crop_size = config.model.crop_size
        height, width = config.data.photo_size
        self.shrink = config.model.view_shrink or natural_view_shrink((height, width))
        view_size = height // self.shrink, width // self.shrink
        self.localization = LocalizationNet(config.model, view_size)

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised photos [batch, 3, height, width] to crops."""
        view = functional.avg_pool2d(images, self.shrink)
        theta = self.localization(view - view.mean(dim=(2, 3), keepdim=True))
        with torch.autocast(images.device.type, enabled=False):
            size = (len(images), 3, *self.crop_size)
            grid = functional.affine_grid(theta, size, align_corners=False)
            return functional.grid_sample(images, grid, align_corners=False)


class VGGLite(nn.Module):
    """The reduced VGG16."""

    def __init__(self, config: ModelConfig, num_classes: int):
        super().__init__()
        self.blocks, before = [], 3
        for channels in config.channels:
            names = []
            for after in channels:
                names.append(f"Conv_{sum(map(len, self.blocks)) + len(names)}")
                self.add_module(names[-1], nn.Conv2d(before, after, 3, padding="same"))
                before = after
            self.blocks.append(names)
        height, width = (side >> len(config.channels) for side in config.crop_size)
        units = (*config.dense, num_classes)
        self.Dense_0 = DenseOfMaps((before, height, width), units[0])
        self.depth = len(config.dense)
        for i in range(1, self.depth + 1):
            self.add_module(f"Dense_{i}", nn.Linear(units[i - 1], units[i]))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, crops: Tensor) -> Tensor:
        """Maps [batch, 3, height, width] to logits, float32."""
        x = crops
        for names in self.blocks:
            for name in names:
                x = functional.relu(self.get_submodule(name)(x))
            x = functional.max_pool2d(x, 2)
        for i in range(self.depth):
            x = self.dropout(functional.relu(self.get_submodule(f"Dense_{i}")(x)))
        return self.get_submodule(f"Dense_{self.depth}")(x).float()


class STNClassifier(nn.Module):
    """The whole network; the identity is its first theta."""

    def __init__(self, config: Config, *, num_classes: int):
        super().__init__()
        self.transformer = SpatialTransformer(config)
        self.classifier = VGGLite(config.model, num_classes)
        self.apply(_initialise)
        _start_at_identity(self.transformer.localization.Dense_1)

    def forward(self, photos: Tensor) -> Tensor:
        """Maps uint8 photos [batch, 3, height, width] to logits."""
        # The mean colour is 0 from here on, so the sampler's zero padding fills with it.
        images = (photos.float() - MEAN_COLOR) / PIXEL_SCALE
        return self.classifier(self.transformer(images))


def _initialise(layer: nn.Module) -> None:
    # As ours: with torch's own small weights, what reaches the last layer is almost 0.
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)


def _start_at_identity(layer: nn.Linear) -> None:
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor(_IDENTITY))


def make_step(
    network: STNClassifier, config: Config, *, precision: Precision, compiled: bool
) -> Callable[[Tensor, Tensor], Tensor]:
    """Builds a step of training.

    Args:
      network: where its weights are is where the step runs; they are trained in place.
      config: the experiment; its learning rate counts.
      precision: of the networks' arithmetic; `tf32` is for GPUs.
      compiled: let torch.compile have the network, its loss and their gradient.

    Returns:
      (photos from `to_tensor`, labels int64) -> mean loss.
    """
    device = next(network.parameters()).device.type
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True
    optimizer = torch.optim.Adam(network.parameters(), lr=config.train.learning_rate, fused=True)

    def compute_loss(photos: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            logits = network(photos)
        return functional.cross_entropy(logits, labels)

    if compiled:
        torch.compiler.reset()  # or it would take another layout for another shape of the same
        compute_loss = torch.compile(compute_loss)

    def step(photos: Tensor, labels: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = compute_loss(photos, labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def memory_format(layout: Layout) -> torch.memory_format:
    """Gives torch's own name of a layout."""
    return torch.channels_last if layout == "channels_last" else torch.contiguous_format


def to_tensor(photos: np.ndarray, *, layout: Layout, device: str) -> Tensor:
    """Puts photos [batch, height, width, channel] into torch's order of axes and a layout."""
    tensor = torch.from_numpy(photos).to(device).permute(0, 3, 1, 2)
    return tensor.contiguous(memory_format=memory_format(layout))


def as_torch(network: STNClassifier, params: Mapping[str, Any]) -> dict[str, Tensor]:
    """Brings our weights, or a gradient of them, into the network's names and shapes."""
    found = {}
    for path, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        ours: Any = params
        for name in path.split("."):
            ours = ours[name]
        found[f"{path}.weight"] = torch.tensor(_weight(layer, np.asarray(ours["kernel"])))
        found[f"{path}.bias"] = torch.tensor(np.asarray(ours["bias"]))
    return found


def _weight(layer: nn.Module, kernel: np.ndarray) -> np.ndarray:
    if isinstance(layer, nn.Conv2d):
        return kernel.transpose(3, 2, 0, 1)
    if isinstance(layer, DenseOfMaps):
        channel, height, width = layer.maps
        maps = kernel.reshape(height, width, channel, -1)
        return maps.transpose(3, 2, 0, 1).reshape(len(layer.weight), -1)
    return kernel.T
