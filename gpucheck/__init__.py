"""gpucheck: is the GPU stack right, give me an image that fits, and did it really run on the GPU."""

__version__ = "0.1.0"

TYPE_CHECKING = False  # not typing's: this must be instant
if TYPE_CHECKING:
    from gpucheck.notebooks import doctor as doctor
    from gpucheck.notebooks import load_ipython_extension as load_ipython_extension
    from gpucheck.notebooks import prove as prove
    from gpucheck.notebooks import unload_ipython_extension as unload_ipython_extension

__all__ = ["__version__", "doctor", "load_ipython_extension", "prove", "unload_ipython_extension"]


def __getattr__(name: str) -> object:
    """What notebooks use, imported when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.notebooks"), name)
