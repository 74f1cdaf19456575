"""Whether the default storage keeps files."""

from __future__ import annotations

import uuid

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from sideeffects.probes.ready.base import ReadyProbe


class Storage(ReadyProbe):
    """Whether a file can be written to the default storage, read and deleted.

    Attributes:
        folder: where in the storage.
    """

    folder: str = ""

    def test_default(self) -> None:
        """Write, read and delete one small file."""
        written = uuid.uuid4().hex.encode()
        wanted = f"{self.folder}sideeffects-probe-{written.decode()}.txt"
        name = default_storage.save(wanted, ContentFile(written))
        try:
            with default_storage.open(name) as file:
                self.assertEqual(file.read(), written, "the default storage does not give back what was written")
        finally:
            default_storage.delete(name)
        self.assertFalse(default_storage.exists(name), f"the default storage still has {name}, which was deleted")
