"""AutoGLM-Phone: a multimodal GLM made small and quick, on a dynamic computation graph, served.

Importing the package stays cheap: `LLM` and `SamplingParams` are resolved on first use.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["LLM", "SamplingParams", "__version__"]

_LAZY = {"LLM": "autoglm_phone.llm", "SamplingParams": "autoglm_phone.engine.request"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
