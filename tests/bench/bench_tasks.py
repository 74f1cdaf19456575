"""The task that `outbox.py` gives to django-tasks-db, whose worker finds it under its module."""

from django_tasks import task

done = []


@task()
def send(number, body):
    done.append((number, body))
