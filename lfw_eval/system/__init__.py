"""Files, hardware, interrupts and errors."""
