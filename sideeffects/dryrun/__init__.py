"""Dry runs: code runs for real, nothing is kept, and a plan says what it would have done."""

from sideeffects.dryrun.block import dry_run
from sideeffects.dryrun.plan import Plan
from sideeffects.dryrun.refusals import DryRunRefused
from sideeffects.dryrun.row_counts import Writes

__all__ = ["DryRunRefused", "Plan", "Writes", "dry_run"]
