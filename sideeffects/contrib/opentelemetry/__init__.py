"""OpenTelemetry: a span for each executed effect, counters and a histogram of all calls.

```python
from sideeffects.contrib.opentelemetry import instrument

instrument()  # once, where the project sets up OpenTelemetry, or in an `AppConfig.ready()`
```
"""

from sideeffects.contrib.opentelemetry.instrumenting import instrument, uninstrument

__all__ = ["instrument", "uninstrument"]
