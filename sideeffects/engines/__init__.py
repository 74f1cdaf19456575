"""What runs enqueued calls in the background."""
