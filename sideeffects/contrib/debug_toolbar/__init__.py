"""Django Debug Toolbar: a panel with the calls of a request.

```python
DEBUG_TOOLBAR_PANELS = [..., "sideeffects.contrib.debug_toolbar.SideEffectsPanel"]
```
"""

from sideeffects.contrib.debug_toolbar.panel import SideEffectsPanel

__all__ = ["SideEffectsPanel"]
