"""The models' Python face as a part of the package: `from analytics.ml import MLManager`.

Not imported by `import analytics`; what learns is loaded when a method needs it.
"""

from __future__ import annotations

from ml.manager import MLManager

__all__ = ["MLManager"]
