"""A program: the instance type that a cloud's metadata service names. `python -m gpucheck.probes.metadata gcp|azure`

Prints that one word: GCP's answer has the project's number in front of it, which is nobody's business.
"""

import http.client
import sys

SERVICES = {
    "gcp": ("metadata.google.internal", "/computeMetadata/v1/instance/machine-type", {"Metadata-Flavor": "Google"}),
    "azure": (
        "169.254.169.254",
        "/metadata/instance/compute/vmSize?api-version=2021-08-01&format=text",
        {"Metadata": "true"},
    ),
}
SECONDS = 1.0
MOST = 4096  # bytes


def main() -> None:
    host, path, headers = SERVICES[sys.argv[1]]
    connection = http.client.HTTPConnection(host, timeout=SECONDS)  # never through a proxy
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        text = answer.read(MOST).decode("ascii", "replace")
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"{host}: {error or type(error).__name__}")
    if answer.status != 200:
        sys.exit(f"{host} answers {answer.status}")
    print(text.strip().rpartition("/")[2])  # noqa: T201


if __name__ == "__main__":
    main()
