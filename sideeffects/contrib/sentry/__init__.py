"""Reports to Sentry."""
