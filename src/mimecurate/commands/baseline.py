"""`mimecurate baseline`: run and train models on a release."""

from __future__ import annotations

from mimecurate.commands.lazy_group import LazyGroup

command = LazyGroup(
    "baseline",
    package="mimecurate.commands",
    prefix="baseline_",
    commands={
        "list": "List the models: paper, input, size, weights, licence.",
        "run": "Run a model on the clips of a release; write a prediction file.",
        "fuse": "Average prediction files: late fusion.",
        "people": "Find people and their joints in clips, or import poses.",
        "flow": "Compute the optical flow of clips, once.",
        "train": "Train a pose model, or fine-tune an RGB one.",
        "bench": "Measure a model on this machine, from decoding to scores.",
    },
    short_help="Run and train RGB, flow and pose models on a release.",
    help="""Run and train RGB, flow and pose models on a release, on a GPU or a CPU.

    \b
    Example:
      mimecurate baseline list
      mimecurate baseline run r2plus1d_18 --release mimetics@1.0.0 --out rgb.parquet
      mimecurate evaluate rgb.parquet --release mimetics@1.0.0
    """,
)
