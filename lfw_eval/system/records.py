"""Records of cached files, the same for calibrator and evaluator."""

from calibration.records import DamagedError, read_record, say_remade, write_record

__all__ = ["DamagedError", "read_record", "say_remade", "write_record"]
