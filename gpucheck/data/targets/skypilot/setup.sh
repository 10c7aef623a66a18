# SkyPilot brings uv; uv brings a Python that is new enough.
set -e
export PATH="$$HOME/.local/bin:$$PATH"
[ -d "$$HOME/gpucheck" ] || uv venv --python 3.12 "$$HOME/gpucheck"
uv pip install --python "$$HOME/gpucheck/bin/python" $package
