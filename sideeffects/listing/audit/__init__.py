"""The audit: which functions of a project reach the outside world by well-known APIs, and are not declared."""

from sideeffects.listing.audit import accepted
from sideeffects.listing.audit.formats import as_json, as_lines, as_markdown, as_table
from sideeffects.listing.audit.reads import OutsideCall
from sideeffects.listing.audit.undeclared import Audit, Unclear, UndeclaredFunction

__all__ = [
    "Audit",
    "OutsideCall",
    "Unclear",
    "UndeclaredFunction",
    "accepted",
    "as_json",
    "as_lines",
    "as_markdown",
    "as_table",
]
