"""The engine: declaring, deciding, recording, acting. Private, and free of Django, Sentry, Celery and pytest."""
