"""The child process of the NVML probe: prints one JSON document, an `Nvml`."""

import json

from gpucheck import codec
from gpucheck.probes.nvml.read import read


def main() -> None:
    print(json.dumps(codec.dump(read())))  # noqa: T201


if __name__ == "__main__":
    main()
