"""The audit: which functions of a project reach the outside world by well-known APIs, and are not declared."""

from sideeffects.listing.undeclared import Audit, OutsideCall, UndeclaredFunction
from sideeffects.listing.undeclared_formats import as_json, as_lines, as_markdown, as_table

__all__ = ["Audit", "OutsideCall", "UndeclaredFunction", "as_json", "as_lines", "as_markdown", "as_table"]
