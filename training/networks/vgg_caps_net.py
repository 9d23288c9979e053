"""The paper's large network, "Ours-VGG" and "Ours-VGGF"."""

from __future__ import annotations

from torch import Tensor, nn

from fastcaps.training.networks.network import CapsuleNetwork, NetworkOptions
from fastcaps.training.networks.vgg import VGGConvolutions

__all__ = ["VGGCapsNet"]


class VGGCapsNet(CapsuleNetwork):
    """The convolutions of VGG-16, 32 x 8-D primary capsules, N x 32-D class capsules, a decoder.

    Rashid and Lee, section 3.1. An RGB picture of 224 x 224 pixels becomes

    - 512 maps of 14 x 14 by ``conv1`` to ``conv5``, the pooling after which is left out, 224 / 16 =
      14; 38,720 + 221,440 + 1,475,328 + 5,899,776 + 7,079,424 = 14,714,688 parameters;
    - in training, some of the 512 maps are dropped;
    - 32 primary capsules of 8-D at each of 6 x 6 places, (14 - 3) / 2 + 1 = 6.5, by 3x3 filters
      with stride 2: 1,152 capsules; 512 * 9 * 256 + 256 = 1,179,904;
    - N class capsules of 32-D; 1152 * 8 * N * 32 = 294,912 N, for N = 12 that is 3,538,944;
    - 512, 1024 and 9408 = 3 * 56 * 56 numbers, enlarged to 224 x 224; (32 N + 1) * 512 +
      513 * 1024 + 1025 * 9408, for N = 12 that is 10,365,632.

    For 12 action units these are 29,799,168 parameters, 19,433,536 of them before the decoder.

    The convolutions take images in the range that their weights need, whatever the pixel statistics
    of the data; only reconstructions are of standardised pixels.

    Args:
        options: what it is built for; the sizes above are for 224 pixels and three channels.
    """

    features: VGGConvolutions

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        self.features = VGGConvolutions()
        self.features.add_module("dropout", nn.Dropout2d(options.dropout))
        self.add_capsules(512, options.side // 16, kernel_size=3, stride=2, small_side=56)

    def parts(self) -> dict[str, nn.Module]:
        """``conv1`` to ``conv5``, ``primary``, ``classes`` and ``decoder``."""
        return self.features.blocks() | {
            "primary": self.primary,
            "classes": self.classes,
            "decoder": self.decoder,
        }

    def primary_capsules(self, images: Tensor) -> Tensor:
        """Images [B, 1 or 3, side, side] in 0 .. 1 -> primary capsules [B, 32 * H * W, 8]."""
        u: Tensor = self.primary(self.features(images))
        return u
