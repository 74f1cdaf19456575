"""`python manage.py smoketest`: the same as `probe`, under the name that users of django-smoketest know."""

from sideeffects.management.commands.probe import Command

__all__ = ["Command"]
