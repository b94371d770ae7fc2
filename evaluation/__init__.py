"""Read predictions, rank them, and report metrics per subset."""
