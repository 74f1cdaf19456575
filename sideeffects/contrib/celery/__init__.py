"""Celery's tasks as effects."""
