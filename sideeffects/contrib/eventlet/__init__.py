"""eventlet's green threads and its pool of real ones, to which overrides, captures, dry runs and probes go along."""

__all__: list[str] = []
