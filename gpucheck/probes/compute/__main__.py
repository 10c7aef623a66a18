"""The child processes of the compute probe. Each prints JSON, a line whenever more is known; the last line counts.

python -m gpucheck.probes.compute --list          the GPUs and MIG devices that there are
python -m gpucheck.probes.compute --gpu UUID      work for one of them
python -m gpucheck.probes.compute --peers         copies from GPU to GPU
"""

from __future__ import annotations

import argparse
import json
import os

from gpucheck import codec
from gpucheck.probes.compute import DEADLINES, peers, work
from gpucheck.probes.compute.listing import listing


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gpucheck.probes.compute")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true")
    what.add_argument("--gpu", metavar="UUID")
    what.add_argument("--peers", action="store_true")
    parser.add_argument("--among-all", action="store_true", help="find the GPU without CUDA_VISIBLE_DEVICES")
    parser.add_argument("--deadline", type=float, help="seconds until it says what it has")
    options = parser.parse_args()
    # What hides GPUs from the user's programs does not hide them from the test.
    os.environ.pop(work.HIDE, None)
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if options.list:
        print(json.dumps(codec.dump(listing())))  # noqa: T201
    elif options.peers:
        peers.work(options.deadline or DEADLINES["--peers"])
    else:
        if not options.among_all:
            os.environ[work.HIDE] = options.gpu
        work.work(options.gpu, options.deadline or DEADLINES["--gpu"], options.among_all)


if __name__ == "__main__":
    main()
