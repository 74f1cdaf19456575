"""The audit: which functions of a project reach the outside world by well-known APIs, and are not declared."""

from sideeffects.audit.reading import Audit, Found, Reached
from sideeffects.audit.showing import as_json, as_lines, as_markdown, as_table

__all__ = ["Audit", "Found", "Reached", "as_json", "as_lines", "as_markdown", "as_table"]
