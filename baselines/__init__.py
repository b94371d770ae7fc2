"""Decode video and run RGB, flow and pose models on it."""
