"""gevent's greenlets and pools, to which overrides, captures, dry runs and probes go along."""

__all__: list[str] = []
