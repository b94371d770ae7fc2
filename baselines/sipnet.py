"""SIP-Net: one temporal convolution over the stacked features of a person.

Paper: Weinzaepfel, Rogez: "Mimetics: Towards Understanding Human Actions Out of Context",
IJCV 2021, Section 4.4 (Stacked Implicit Pose Network). There the features are the 2048 numbers
that LCR-Net++ classifies and refines poses from, and T = 32.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class SipNet(nn.Module):
    """One convolution of kernel T whose outputs are the classes' scores.

    Attributes:
        frames: T, what one output sees.
        width: F, features of a person in one frame.
    """

    def __init__(self, *, num_classes: int = 400, features: int = 2048, frames: int = 32) -> None:
        """Make the model with PyTorch's default weights.

        Args:
            num_classes: number of outputs.
            features: width of the features: 2048 of LCR-Net++, 1024 of Keypoint R-CNN's box
                head.
            frames: T, the kernel's size.
        """
        super().__init__()
        self.frames, self.width = frames, features
        self.conv = nn.Conv1d(features, num_classes, kernel_size=frames)

    def clip_logits(self, x: Tensor) -> Tensor:
        """Score every clip of T consecutive frames.

        Args:
            x: float[N, F, L], L >= T.

        Returns:
            float[N, num_classes, L - T + 1].
        """
        result: Tensor = self.conv(x)
        return result

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Average the softmax over all clips of T frames, and give its logarithm.

        With one clip (L = T, as in training) that is the log-softmax, and cross-entropy of it is
        that of the convolution's own outputs. Softmax of the result is the average itself.

        Args:
            x: float[N, F, L], L >= T.
            lengths: int[N], frames that count, each from T to L; ``None``: all.

        Returns:
            float[N, num_classes], logarithms of probabilities.
        """
        log_probabilities = self.clip_logits(x).log_softmax(dim=1)
        clips = log_probabilities.shape[2]
        if lengths is None:
            return log_probabilities.logsumexp(dim=2) - math.log(clips)
        counts = lengths.to(x.device) - self.frames + 1
        outside = torch.arange(clips, device=x.device)[None, :] >= counts[:, None]
        log_probabilities = log_probabilities.masked_fill(outside[:, None, :], -math.inf)
        return log_probabilities.logsumexp(dim=2) - counts.to(x.dtype).log()[:, None]
