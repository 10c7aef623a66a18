"""Asking NVML one question at a time, so that a failure costs one answer."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from gpucheck.facts import CallError

# Codes that mean "ask in the older way": the symbol is missing, its struct version is unknown, or CUDA 14 removed it.
# https://docs.nvidia.com/deploy/nvml-api/Deprecations.html
FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH, DEPRECATED = 13, 25, 26
OUTDATED = frozenset({FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH, DEPRECATED})
NOT_SUPPORTED = 3
# Of the oldest form: this GPU, or this driver, which is older than the question, has no such thing. What a driver has
# left behind (DEPRECATED) it may tell in a form that is newer than we are: that is no answer.
LACKING = frozenset({NOT_SUPPORTED, FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH})
NOT_TEXT = -1  # our own code: what should be a name is no UTF-8


class Ask:
    """Calls functions of the binding by name. `errors` grows by each that failed."""

    def __init__(self, binding: ModuleType) -> None:
        self.binding = binding
        self.errors: list[CallError] = []

    def __call__(self, call: str, *args: Any, absent: frozenset[int] = frozenset()) -> Any:
        """The answer, or None. Codes in `absent` mean "there is none", as those that are LACKING always do."""
        return self.first((call, *args), absent=absent)

    def first(self, *questions: tuple[Any, ...], absent: frozenset[int] = frozenset()) -> Any:
        """As a call, for a question that NVML has taken in more than one form: newest first, each (name, arguments)."""
        for call, *args in questions:
            try:
                function = getattr(self.binding, call, None)
                if function is None:  # an older nvidia-ml-py
                    raise self.binding.NVMLError(FUNCTION_NOT_FOUND)
                return function(*args)
            except UnicodeDecodeError:
                failed = call, NOT_TEXT
                break
            except self.binding.NVMLError as error:
                failed = call, int(error.value)
                if failed[1] not in OUTDATED:
                    break
        if failed[1] not in absent | LACKING:
            self.errors.append(self.error(*failed))
        return None

    def needed(self, call: str, *args: Any) -> Any:
        """As a call, of what every driver has: without an answer there is always an error."""
        before = len(self.errors)
        answer = self(call, *args)
        if answer is None and len(self.errors) == before:
            self.errors.append(self.error(call, NOT_SUPPORTED))
        return answer

    def code(self, call: str, *args: Any, known: frozenset[int]) -> int | None:
        """0 or one of `known`, of a function that answers by its code alone; None as a call gives it."""
        function = getattr(self.binding, call, None)
        try:
            if function is None:  # an older nvidia-ml-py
                return None
            function(*args)
        except self.binding.NVMLError as error:
            code = int(error.value)
            if code in known:
                return code
            if code not in LACKING:
                self.errors.append(self.error(call, code))
            return None
        return 0

    def error(self, call: str, code: int, detail: str | None = None) -> CallError:
        return CallError(call=call, code=code, name=self.code_name(code), detail=detail)

    def code_name(self, code: int) -> str:
        """15 -> "GPU_IS_LOST", by the binding's own constants."""
        if code in (0, NOT_TEXT):
            return "SUCCESS" if code == 0 else "NOT_TEXT"
        known = (name for name, value in vars(self.binding).items() if name.startswith("NVML_ERROR_") and value == code)
        return next(known, f"code {code}").removeprefix("NVML_ERROR_")
