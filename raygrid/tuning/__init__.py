"""Runs the planned trials on Ray Tune. Only this package knows Ray."""
