"""Where calls are written, and how they are read back."""
