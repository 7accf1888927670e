"""What one run holds while it executes: its progress, its publisher, and the engine that plays its bars."""
