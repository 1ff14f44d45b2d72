"""Networks built from a seed, for checks and benchmarks: the architectures are real, the weights are random."""

from .autoencoder import autoencoder
from .bert import bert
from .decoder import decoder
from .efficientnet import efficientnet_b0
from .mobilenet import mobilenet_v2
from .mobilenet_v3 import mobilenet_v3_small
from .resnet import resnet50
from .speech import speech
from .unet import unet

__all__ = [
    "autoencoder",
    "bert",
    "decoder",
    "efficientnet_b0",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "resnet50",
    "speech",
    "unet",
]
