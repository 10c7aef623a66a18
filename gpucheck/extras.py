"""The packages of each optional part, as pip is told to fetch them.

By their own names: in a checkout `pip install 'gpucheck[report]'` would fetch what is called gpucheck on PyPI, which is
another project.
"""

from __future__ import annotations

EXTRAS = {  # as in pyproject.toml, which tests/test_packaging.py compares
    "verify": ("docker", "packaging", "protobuf"),
    "formats": ("junitparser", "prometheus-client"),
    "report": ("jinja2", "matplotlib", "seaborn"),
    "aws": ("boto3",),
    "gcp": ("google-cloud-compute",),
    "azure": ("azure-identity", "azure-mgmt-compute", "azure-mgmt-network", "azure-mgmt-resource"),
    "kubernetes": ("kubernetes",),
    "ssh": ("clustershell",),
}


def tip(extra: str) -> str:
    return f"`pip install {' '.join(EXTRAS[extra])}`"
