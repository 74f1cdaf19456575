"""Probes that each project needs, ready made: databases, migrations, caches, storage, Celery, mail, the machine, DNS.

`SIDE_EFFECTS["PROBES"]["READY"] = ["database", "cache", ...]` chooses among them. They are then listed and run like
probes of your own, under the label `sideeffects` and the tag `ready`. You can subclass those with limits:

    from sideeffects.probes import ready

    class DataDisk(ready.Disk):
        path = "/var/lib/data"
        at_most = 80
"""

from sideeffects.probes.ready.broker import Broker, Workers
from sideeffects.probes.ready.machine import Disk, Memory
from sideeffects.probes.ready.mail import Mail
from sideeffects.probes.ready.storage import Storage

__all__ = ["Broker", "Disk", "Mail", "Memory", "Storage", "Workers"]
