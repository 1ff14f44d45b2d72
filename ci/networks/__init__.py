"""Networks built from a seed, for checks and benchmarks: the architectures are real, the weights are random."""

from .bert import bert
from .decoder import decoder
from .efficientnet import efficientnet_b0
from .mobilenet import mobilenet_v2
from .resnet import resnet50

__all__ = ["bert", "decoder", "efficientnet_b0", "mobilenet_v2", "resnet50"]
